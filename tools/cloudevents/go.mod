module github.com/balanceq/balanceq/tools/cloudevents

go 1.26.8

replace github.com/balanceq/balanceq => ../..

require (
	github.com/balanceq/balanceq v0.0.0
	github.com/cloudevents/sdk-go/v2 v2.16.2
	github.com/segmentio/kafka-go v0.4.51
)

require (
	github.com/agnivade/levenshtein v1.2.2 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/modern-go/concurrent v0.0.0-20180306012644-bacd9c7ef1dd // indirect
	github.com/modern-go/reflect2 v1.0.2 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
)
