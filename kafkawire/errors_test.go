package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
)

func TestTransient(t *testing.T) {
	t.Parallel()
	wrapped := func(e error) error { return fmt.Errorf("doing something: %w", e) }
	cases := map[string]struct {
		err                       error
		transient, lost, tooLarge bool
	}{
		"nil":                           {nil, false, false, false},
		"connection":                    {io.ErrUnexpectedEOF, true, false, false},
		"deadline":                      {context.DeadlineExceeded, true, false, false},
		"NOT_LEADER":                    {kafka.NotLeaderForPartition, true, false, false},
		"LEADER_NOT_AVAILABLE":          {kafka.LeaderNotAvailable, true, false, false},
		"UNKNOWN_TOPIC":                 {kafka.UnknownTopicOrPartition, true, false, false},
		"REQUEST_TIMED_OUT":             {kafka.RequestTimedOut, true, false, false},
		"BROKER_NOT_AVAILABLE":          {kafka.BrokerNotAvailable, true, false, false},
		"REPLICA_NOT_AVAILABLE":         {kafka.ReplicaNotAvailable, true, false, false},
		"NETWORK":                       {kafka.NetworkException, true, false, false},
		"COORDINATOR_LOAD":              {kafka.GroupLoadInProgress, true, false, false},
		"COORDINATOR_NOT_AVAILABLE":     {kafka.GroupCoordinatorNotAvailable, true, false, false},
		"NOT_COORDINATOR":               {kafka.NotCoordinatorForGroup, true, false, false},
		"NOT_ENOUGH_REPLICAS":           {kafka.NotEnoughReplicas, true, false, false},
		"NOT_ENOUGH_REPLICAS_AFTER":     {kafka.NotEnoughReplicasAfterAppend, true, false, false},
		"STORAGE":                       {kafka.KafkaStorageError, true, false, false},
		"UNSTABLE_OFFSET_COMMIT":        {kafka.UnstableOffsetCommit, true, false, false},
		"OFFSET_OUT_OF_RANGE":           {kafka.OffsetOutOfRange, false, false, false},
		"TOPIC_AUTHORIZATION_FAILED":    {kafka.TopicAuthorizationFailed, false, false, false},
		"SASL_AUTHENTICATION_FAILED":    {kafka.SASLAuthenticationFailed, false, false, false},
		"UNKNOWN_MEMBER_ID":             {kafka.UnknownMemberId, false, false, false},
		"OUT_OF_ORDER_SEQUENCE":         {kafka.OutOfOrderSequenceNumber, false, true, false},
		"UNKNOWN_PRODUCER_ID":           {kafka.UnknownProducerId, false, true, false},
		"INVALID_PRODUCER_EPOCH":        {kafka.InvalidProducerEpoch, false, true, false},
		"PRODUCER_FENCED":               {kafka.ProducerFenced, false, true, false},
		"DUPLICATE_SEQUENCE":            {kafka.DuplicateSequenceNumber, false, false, false},
		"MESSAGE_TOO_LARGE":             {kafka.MessageSizeTooLarge, false, false, true},
		"RECORD_LIST_TOO_LARGE":         {kafka.RecordListTooLarge, false, false, true},
		"UNKNOWN_SERVER_ERROR":          {kafka.Unknown, false, false, false},
		"a code newer than this client": {kafka.Error(9999), false, false, false},
		"corrupt":                       {ErrCorrupt, false, false, false},
	}
	for name, c := range cases {
		for _, err := range []error{c.err, wrapped(c.err)} {
			if c.err == nil {
				err = nil
			}
			if got := Transient(err); got != c.transient {
				t.Errorf("%s: Transient is %t", name, got)
			}
			if got := ProducerStateLost(err); got != c.lost {
				t.Errorf("%s: ProducerStateLost is %t", name, got)
			}
			if got := TooLarge(err); got != c.tooLarge {
				t.Errorf("%s: TooLarge is %t", name, got)
			}
		}
	}
	if CodeError(0) != nil || !errors.Is(CodeError(6), kafka.NotLeaderForPartition) {
		t.Error("CodeError")
	}
}

// What users read of a cluster that cannot be asked names no method of a library.
func TestErrorsNameNoMethod(t *testing.T) {
	t.Parallel()
	c := wire(t, []string{"127.0.0.1:1"})
	_, described := c.DescribeTopic(deadline(t), "t")
	_, _, leaders := c.Leaders(deadline(t), "t")
	_, created := c.CreateTopic(deadline(t), Topic{Name: "t", Partitions: 1, ReplicationFactor: 1})
	for _, err := range []error{described, leaders, created} {
		if err == nil || strings.Contains(err.Error(), "kafka.(") || !Transient(err) {
			t.Errorf("%v", err)
		}
	}
}
