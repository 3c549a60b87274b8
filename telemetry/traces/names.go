package traces

import "go.opentelemetry.io/otel/attribute"

// Conventions is the version of OpenTelemetry's semantic conventions whose names these are. Those of messaging are in
// development there, so a later version may call them otherwise; those of HTTP are stable.
const Conventions = "1.44.0"

const (
	system         = attribute.Key("messaging.system")
	operation      = attribute.Key("messaging.operation.name")
	operationType  = attribute.Key("messaging.operation.type")
	destination    = attribute.Key("messaging.destination.name")
	partition      = attribute.Key("messaging.destination.partition.id")
	offset         = attribute.Key("messaging.kafka.offset")
	consumerGroup  = attribute.Key("messaging.consumer.group.name")
	clientID       = attribute.Key("messaging.client.id")
	messageID      = attribute.Key("messaging.message.id")
	conversationID = attribute.Key("messaging.message.conversation_id")
	tombstone      = attribute.Key("messaging.kafka.message.tombstone")
	batchCount     = attribute.Key("messaging.batch.message_count")

	method        = attribute.Key("http.request.method")
	serverAddress = attribute.Key("server.address")
	serverPort    = attribute.Key("server.port")
	urlTemplate   = attribute.Key("url.template")
	statusCode    = attribute.Key("http.response.status_code")
	resendCount   = attribute.Key("http.request.resend_count")

	errorType = attribute.Key("error.type")

	replayRun = attribute.Key("balanceq.replay.run")
)

// contractBalances stands for all paths of the CMS: a real one holds a contract's id.
const contractBalances = "/contracts/{id}/balances"
