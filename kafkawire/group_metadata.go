package kafkawire

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Subscription is what a member tells the leader (ConsumerProtocolSubscription of Kafka's clients).
type Subscription struct {
	Topics     []string
	Owned      map[string][]int32 // partitions by topic that no other member may have yet (KIP-429)
	Generation int32              // of the group, in which Owned was assigned; -1: none (KIP-792)
}

// Assignment is what the leader gives to a member (ConsumerProtocolAssignment).
type Assignment struct {
	Partitions map[string][]int32 // by topic
}

// Versions of the two. Other clients read newer ones by the fields that they know.
const (
	subscriptionVersion = 3
	assignmentVersion   = 3
)

func (s *Subscription) encode() []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics, m.Generation = subscriptionVersion, s.Topics, s.Generation
	// the same bytes for the same content: the group compares them
	for _, topic := range slices.Sorted(maps.Keys(s.Owned)) {
		o := kmsg.NewConsumerMemberMetadataOwnedPartition()
		o.Topic, o.Partitions = topic, s.Owned[topic]
		m.OwnedPartitions = append(m.OwnedPartitions, o)
	}
	return m.AppendTo(nil)
}

func decodeSubscription(b []byte) (Subscription, error) {
	m := kmsg.NewConsumerMemberMetadata()
	if err := m.ReadFrom(b); err != nil {
		return Subscription{}, fmt.Errorf("kafka: decoding a subscription of %d bytes: %w", len(b), err)
	}
	s := Subscription{Topics: m.Topics, Owned: map[string][]int32{}, Generation: m.Generation}
	for _, o := range m.OwnedPartitions {
		s.Owned[o.Topic] = append(s.Owned[o.Topic], o.Partitions...)
	}
	return s, nil
}

func (a *Assignment) encode() []byte {
	m := kmsg.NewConsumerMemberAssignment()
	m.Version = assignmentVersion
	for _, topic := range slices.Sorted(maps.Keys(a.Partitions)) {
		t := kmsg.NewConsumerMemberAssignmentTopic()
		t.Topic, t.Partitions = topic, a.Partitions[topic]
		m.Topics = append(m.Topics, t)
	}
	return m.AppendTo(nil)
}

// DecodeAssignment reads what the leader has given to a member. It takes nothing at all for an empty assignment: so the
// group answers a member of which the leader did not know.
func DecodeAssignment(b []byte) (Assignment, error) {
	a := Assignment{Partitions: map[string][]int32{}}
	if len(b) == 0 {
		return a, nil
	}
	m := kmsg.NewConsumerMemberAssignment()
	if err := m.ReadFrom(b); err != nil {
		return Assignment{}, fmt.Errorf("kafka: decoding an assignment of %d bytes: %w", len(b), err)
	}
	for _, t := range m.Topics {
		a.Partitions[t.Topic] = append(a.Partitions[t.Topic], t.Partitions...)
	}
	return a, nil
}
