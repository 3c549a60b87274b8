package group

import (
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// stage is a topic and a group of its name on the shared broker.
type stage struct {
	kind     kind
	settings kafkawire.Settings
	topic    string
	n        int32
	admin    *kafkawire.Client
	ledger   *kafkatest.Ledger
}

// stageSession is the least that brokers allow by default.
const stageSession = 6 * time.Second

// newStage skips the test where the brokers do not offer the protocol.
func newStage(t *testing.T, k kind, partitions int32) *stage {
	t.Helper()
	shared := kafkatest.Undisturbed(t)
	s := &stage{kind: k, topic: shared.Topic(t, int(partitions)), n: partitions, ledger: kafkatest.NewLedger()}
	s.settings = kafkawire.Settings{Brokers: shared.Brokers(), ClientID: "test"}
	s.admin = kafkawire.NewClient(s.settings)
	t.Cleanup(s.admin.Close)
	if k.name == kip848.name && !offered(t, shared, s.admin) {
		t.Skip("the brokers do not offer the consumer group protocol")
	}
	return s
}

// offered fails the test if the answer is not that of the version.
func offered(t *testing.T, shared *kafkatest.Broker, wire *kafkawire.Client) bool {
	t.Helper()
	got, err := wire.OffersConsumerProtocol(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if old := strings.Contains(shared.Image(), ":3."); shared.Kind() != kafkatest.KindExternal && got == old {
		t.Fatalf("%s %s offers the consumer group protocol: %v", shared.Kind(), shared.Image(), got)
	}
	return got
}

// member runs a member without a consumer.
func (s *stage) member(t *testing.T, name, instance string, leave bool) *memberRig {
	t.Helper()
	return startMemberOf(t, s.kind, s.settings, s.ledger, name, func(o *memberOptions, _ *testOwner) {
		o.Group, o.Topic, o.session, o.InstanceID, o.LeaveOnStop = s.topic, s.topic, stageSession, instance, leave
	})
}

// grow adds partitions.
func (s *stage) grow(t *testing.T, to int32) {
	t.Helper()
	if _, err := s.admin.API().CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: s.topic, Count: to}},
	}); err != nil {
		t.Fatal(err)
	}
}
