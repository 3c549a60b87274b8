package schemas

// Headers of a dead letter. All values are text, UTF-8 and bounded. The first six are Kafka's own names (KIP-1191), so
// that any tool that knows them can read our dead letters.
const (
	HeaderErrorsTopic         = "__dlq.errors.topic"
	HeaderErrorsPartition     = "__dlq.errors.partition"
	HeaderErrorsOffset        = "__dlq.errors.offset"
	HeaderErrorsGroup         = "__dlq.errors.group"
	HeaderErrorsDeliveryCount = "__dlq.errors.delivery.count"
	HeaderErrorsMessage       = "__dlq.errors.message"

	// With the position in Kafka's own names, what tells two records of one position apart: see LogID.
	HeaderSourceTopicID = "balanceq-source-topic-id"
	HeaderSourceEpoch   = "balanceq-source-leader-epoch"

	HeaderReason           = "balanceq-reason"
	HeaderDetail           = "balanceq-detail"
	HeaderRequestID        = "balanceq-request-id"
	HeaderHTTPStatus       = "balanceq-http-status"
	HeaderCMSReason        = "balanceq-cms-reason-code"
	HeaderAttempts         = "balanceq-attempts"
	HeaderFirstFailure     = "balanceq-first-failure"
	HeaderLastFailure      = "balanceq-last-failure"
	HeaderCorrelationID    = "balanceq-correlation-id"
	HeaderCMSCorrelationID = "balanceq-cms-correlation-id"
	HeaderDeadTraceparent  = "balanceq-traceparent" // of the span that wrote it
	HeaderInstance         = "balanceq-instance"
	HeaderVersion          = "balanceq-version"

	// A dead letter that its topic does not take as it is says with these what is different.
	// what it is written without: value, headers, key, with commas between them
	HeaderOmitted      = "balanceq-omitted"
	HeaderValueSize    = "balanceq-value-size"    // bytes of the value that was left out
	HeaderValueSHA256  = "balanceq-value-sha256"  // its SHA-256 in hexadecimal
	HeaderKeySize      = "balanceq-key-size"      // the same of the key
	HeaderKeySHA256    = "balanceq-key-sha256"    // the same of the key
	HeaderHeadersCount = "balanceq-headers-count" // how many headers were left out
	// "null": the topic is compacted, so the key is the request's position instead
	HeaderOriginalKey = "balanceq-original-key"

	// A replayed request has these, and its next dead letter keeps them.
	HeaderReplayCount = "balanceq-replay-count" // how often it has been replayed
	HeaderReplayOf    = "balanceq-replay-of"    // topic/partition/offset of the dead letter
	HeaderReplayRun   = "balanceq-replay-run"   // which run of the tool did it
	// topic/partition/offset where the request stood first: the id of one that brings none
	HeaderReplaySource = "balanceq-replay-source"
	// the traceparent that was replaced first, by a replay that is traced
	HeaderReplayTraceparent = "balanceq-replay-traceparent"
)

// MaxDetail bounds the text headers of a dead letter, in bytes.
const MaxDetail = 1024
