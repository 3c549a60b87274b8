package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// Transient says whether the same request may simply be sent again after a pause (and a Reset). Errors that are not
// Kafka's own come from the connection: the request may or may not have been applied.
func Transient(err error) bool {
	var ke kafka.Error
	if !errors.As(err, &ke) {
		return err != nil && !errors.Is(err, ErrCorrupt)
	}
	switch ke {
	case kafka.UnknownTopicOrPartition, // metadata lags behind a creation or a broker's start
		kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, // elections
		kafka.RequestTimedOut,
		kafka.BrokerNotAvailable,  // made by kafka-go itself
		kafka.ReplicaNotAvailable, // fetch from a follower that is catching up
		kafka.NetworkException,    // the broker's own connection trouble
		kafka.GroupLoadInProgress, // coordinator is loading
		kafka.GroupCoordinatorNotAvailable,
		kafka.NotCoordinatorForGroup,
		kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend,
		kafka.KafkaStorageError,
		kafka.UnstableOffsetCommit: // 88: a transaction over these offsets is still open
		return true
	}
	return false
}

// Pause waits before the same request is sent again. It returns false if ctx ended.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// ProducerStateLost says that the broker no longer knows the producer id's sequence (KIP-98): the batch may or may not be
// in the log, and only a new producer id can go on.
func ProducerStateLost(err error) bool {
	var ke kafka.Error
	if !errors.As(err, &ke) {
		return false
	}
	switch ke {
	case kafka.OutOfOrderSequenceNumber, kafka.UnknownProducerId, kafka.InvalidProducerEpoch, kafka.ProducerFenced:
		return true
	}
	return false
}

// TooLarge says that a batch is over the topic's max.message.bytes (or the broker's segment size).
func TooLarge(err error) bool {
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge)
}

// codeError turns a protocol error code into kafka-go's error; 0 is nil.
func codeError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}

// explained is codeError with what the broker says about it, or else the name where kafka-go has none.
func explained(code int16, message *string) error {
	err := codeError(code)
	text := map[error]string{
		FencedMemberEpoch: "FENCED_MEMBER_EPOCH", UnreleasedInstanceID: "UNRELEASED_INSTANCE_ID",
		UnsupportedAssignor: "UNSUPPORTED_ASSIGNOR", StaleMemberEpoch: "STALE_MEMBER_EPOCH",
	}[err]
	if message != nil && *message != "" {
		text = *message
	}
	if err == nil || text == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, text)
}
