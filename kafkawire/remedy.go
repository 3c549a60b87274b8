package kafkawire

import (
	"errors"
	"slices"

	"github.com/segmentio/kafka-go"
)

// Remedy is what makes an answer in error go away.
type Remedy int

// The remedies, from the cheapest on.
const (
	Repeat  Remedy = iota // the same request again after a pause; also where there was no answer
	Encode                // the same records, encoded again: with another time
	Reshape               // another form: smaller, compressed, with a key, without metadata
	// what we know of ourselves is outdated: first another producer id, place in the group, or offset
	Renew
	Operator // a person has to change something; meanwhile what was refused waits, and nothing else
)

func (r Remedy) String() string {
	return [...]string{"repeat", "encode again", "other form", "renew", "operator"}[r]
}

// Answer is an error code that Produce, InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn,
// OffsetCommit or Fetch can be answered with.
type Answer struct {
	Code   kafka.Error
	Name   string // in Kafka's documentation of the protocol
	Remedy Remedy
	Fix    string // what people can do; "" where there is nothing to do
}

// Answers are all of them, in the order of their codes (https://kafka.apache.org/protocol#protocol_error_codes).
var Answers = []Answer{
	{kafka.Unknown, "UNKNOWN_SERVER_ERROR", Repeat, "read the broker's log, it says what failed"},
	{kafka.OffsetOutOfRange, "OFFSET_OUT_OF_RANGE", Renew, ""},
	{kafka.InvalidMessage, "CORRUPT_MESSAGE", Encode, "look for faulty memory or network hardware"},
	{kafka.UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", Repeat,
		"create the topic, and allow Describe on it"},
	{kafka.InvalidMessageSize, "INVALID_FETCH_SIZE", Operator,
		"report it: balanceq sends what this broker does not know"},
	{kafka.LeaderNotAvailable, "LEADER_NOT_AVAILABLE", Repeat, "bring the partition's brokers back"},
	{kafka.NotLeaderForPartition, "NOT_LEADER_FOR_PARTITION", Repeat, ""},
	{kafka.RequestTimedOut, "REQUEST_TIMED_OUT", Repeat,
		"look at the load of the brokers and of their replication"},
	{kafka.BrokerNotAvailable, "BROKER_NOT_AVAILABLE", Repeat, "bring the broker back"},
	{kafka.ReplicaNotAvailable, "REPLICA_NOT_AVAILABLE", Repeat, ""},
	{kafka.MessageSizeTooLarge, "MESSAGE_TOO_LARGE", Reshape, "raise max.message.bytes of the topic"},
	{kafka.OffsetMetadataTooLarge, "OFFSET_METADATA_TOO_LARGE", Reshape,
		"raise offset.metadata.max.bytes of the brokers"},
	{kafka.NetworkException, "NETWORK_EXCEPTION", Repeat, ""},
	{kafka.GroupLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS", Repeat, ""},
	{kafka.GroupCoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE", Repeat,
		"look at the brokers' internal topics: their replicas must be there"},
	{kafka.NotCoordinatorForGroup, "NOT_COORDINATOR", Repeat, ""},
	{kafka.InvalidTopic, "INVALID_TOPIC_EXCEPTION", Operator,
		"name a topic that may be written to: not an internal one"},
	{kafka.RecordListTooLarge, "RECORD_LIST_TOO_LARGE", Reshape, "raise segment.bytes of the topic"},
	{kafka.NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", Repeat,
		"bring back brokers, or lower min.insync.replicas of the topic"},
	{kafka.NotEnoughReplicasAfterAppend, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Repeat,
		"bring back brokers, or lower min.insync.replicas of the topic"},
	{kafka.InvalidRequiredAcks, "INVALID_REQUIRED_ACKS", Operator,
		"let the brokers (or the proxy before them) accept acks=all"},
	{kafka.IllegalGeneration, "ILLEGAL_GENERATION", Renew, ""},
	{kafka.InvalidGroupId, "INVALID_GROUP_ID", Operator, "choose another name for the group"},
	{kafka.UnknownMemberId, "UNKNOWN_MEMBER_ID", Renew, ""},
	{kafka.RebalanceInProgress, "REBALANCE_IN_PROGRESS", Renew, ""},
	{kafka.InvalidCommitOffsetSize, "INVALID_COMMIT_OFFSET_SIZE", Operator,
		"raise max.message.bytes of __consumer_offsets"},
	{kafka.TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", Operator,
		"allow Describe and Write (on the request topic: Describe and Read) on the topic"},
	{kafka.GroupAuthorizationFailed, "GROUP_AUTHORIZATION_FAILED", Operator,
		"allow Read on the group"},
	{kafka.ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", Operator,
		"allow IdempotentWrite on the cluster, or Write on the topic (Kafka 2.8 and later)"},
	{kafka.InvalidTimestamp, "INVALID_TIMESTAMP", Encode,
		"set this machine's clock; look at message.timestamp.before.max.ms and " +
			"message.timestamp.after.max.ms of the topic"},
	{kafka.UnsupportedVersion, "UNSUPPORTED_VERSION", Operator,
		"run brokers of a release that docs/COMPATIBILITY.md lists"},
	{kafka.InvalidRequest, "INVALID_REQUEST", Operator,
		"report it: balanceq sends what this broker does not know"},
	{kafka.UnsupportedForMessageFormat, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Operator,
		"remove message.format.version (or log.message.format.version) from the topic and the brokers"},
	{kafka.PolicyViolation, "POLICY_VIOLATION", Operator, "change the brokers' policy, or what it refuses"},
	{kafka.OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", Renew, ""},
	{kafka.DuplicateSequenceNumber, "DUPLICATE_SEQUENCE_NUMBER", Repeat, ""},
	{kafka.InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", Renew, ""},
	{kafka.InvalidTransactionState, "INVALID_TXN_STATE", Renew, ""},
	{kafka.InvalidProducerIDMapping, "INVALID_PRODUCER_ID_MAPPING", Renew, ""},
	{kafka.InvalidTransactionTimeout, "INVALID_TRANSACTION_TIMEOUT", Operator,
		"lower the transaction timeout, or raise transaction.max.timeout.ms of the brokers"},
	{kafka.ConcurrentTransactions, "CONCURRENT_TRANSACTIONS", Repeat,
		"if it lasts, bring back brokers: a partition does not take the end of the last transaction"},
	{kafka.TransactionCoordinatorFenced, "TRANSACTION_COORDINATOR_FENCED", Repeat, ""},
	{kafka.TransactionalIDAuthorizationFailed, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Operator,
		"allow Describe and Write on the transactional ids that begin with balanceq.<group>."},
	{kafka.SecurityDisabled, "SECURITY_DISABLED", Operator, "configure an authorizer at the brokers"},
	{errOperationNotAttempted, "OPERATION_NOT_ATTEMPTED", Renew, ""},
	{kafka.KafkaStorageError, "KAFKA_STORAGE_ERROR", Repeat, "look at the broker's disks"},
	{kafka.UnknownProducerId, "UNKNOWN_PRODUCER_ID", Renew, ""},
	{kafka.GroupIdNotFound, "GROUP_ID_NOT_FOUND", Renew, ""},
	{kafka.FetchSessionIDNotFound, "FETCH_SESSION_ID_NOT_FOUND", Repeat, ""},
	{kafka.InvalidFetchSessionEpoch, "INVALID_FETCH_SESSION_EPOCH", Repeat, ""},
	{kafka.FencedLeaderEpoch, "FENCED_LEADER_EPOCH", Repeat, ""},
	{kafka.UnknownLeaderEpoch, "UNKNOWN_LEADER_EPOCH", Repeat, ""},
	{kafka.UnsupportedCompressionType, "UNSUPPORTED_COMPRESSION_TYPE", Reshape,
		"set compression.type of the topic to producer"},
	{kafka.OffsetNotAvailable, "OFFSET_NOT_AVAILABLE", Repeat, ""},
	{kafka.FencedInstanceID, "FENCED_INSTANCE_ID", Renew, "give each instance an instance id of its own"},
	{kafka.InvalidRecord, "INVALID_RECORD", Reshape,
		"read what the broker says: a validation of its own refuses the record"},
	{kafka.UnstableOffsetCommit, "UNSTABLE_OFFSET_COMMIT", Repeat,
		"find and end the open transaction with kafka-transactions.sh"},
	{kafka.ThrottlingQuotaExceeded, "THROTTLING_QUOTA_EXCEEDED", Repeat,
		"raise the quota of the user or client id"},
	{kafka.ProducerFenced, "PRODUCER_FENCED", Renew, ""},
	{kafka.UnknownTopicID, "UNKNOWN_TOPIC_ID", Renew, ""},
	{kafka.InconsistentTopicID, "INCONSISTENT_TOPIC_ID", Renew, ""},
	{106, "FETCH_SESSION_TOPIC_ID_ERROR", Repeat, ""},
	{109, "OFFSET_MOVED_TO_TIERED_STORAGE", Operator, "read the broker's log: its remote storage does not answer"},
	{ErrFencedMemberEpoch, "FENCED_MEMBER_EPOCH", Renew, ""},
	{ErrStaleMemberEpoch, "STALE_MEMBER_EPOCH", Renew, ""},
	{120, "TRANSACTION_ABORTABLE", Renew, ""},
}

var answers = func() map[kafka.Error]*Answer {
	by := make(map[kafka.Error]*Answer, len(Answers))
	for i := range Answers {
		by[Answers[i].Code] = &Answers[i]
	}
	return by
}()

// RemedyOf says what cures err, and Fix what people can do. An error without a code comes from the connection, so the
// request may or may not have been applied: the same again tells. A code that is not in Answers is for people.
func RemedyOf(err error) Remedy {
	code, answered := errors.AsType[kafka.Error](err)
	switch a := answers[code]; {
	case !answered:
		return Repeat
	case a != nil:
		return a.Remedy
	}
	return Operator
}

// PartitionRefused says that one partition does not take what is sent to it before an operator has done something,
// while others may. What concerns the whole of a request is no partition's, whichever one the answer names.
func PartitionRefused(err error) bool {
	return RemedyOf(err) == Operator && !slices.ContainsFunc(ofNoPartition,
		func(code kafka.Error) bool { return errors.Is(err, code) })
}

var ofNoPartition = []kafka.Error{
	kafka.TransactionalIDAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed,
	kafka.InvalidGroupId, kafka.InvalidTransactionTimeout, kafka.InvalidRequiredAcks, kafka.UnsupportedVersion,
	kafka.SecurityDisabled,
}

// Fix is what people can do about err; "" where there is nothing to do but to wait.
func Fix(err error) string {
	if a := answerOf(err); a != nil {
		return a.Fix
	}
	if RemedyOf(err) == Operator {
		return "look the code up in Kafka's documentation of the protocol"
	}
	return ""
}

func answerOf(err error) *Answer {
	code, ok := errors.AsType[kafka.Error](err)
	if !ok {
		return nil
	}
	return answers[code]
}
