package kafkawire

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// consumerGroup is a group of its own, under the name of its topic.
type consumerGroup struct {
	*Client
	t     *testing.T
	topic string
	id    TopicID
}

// newConsumerGroup skips the test where the brokers do not offer the protocol, which only those before Kafka 4 may.
func newConsumerGroup(t *testing.T, partitions int) *consumerGroup {
	t.Helper()
	broker := kafkatest.Undisturbed(t)
	g := &consumerGroup{t: t, topic: broker.Topic(t, partitions)}
	g.Client = wire(t, broker.Brokers(), g.topic)
	offered, err := g.OffersConsumerProtocol(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if old := strings.Contains(broker.Image(), ":3."); broker.Kind() != kafkatest.KindExternal && offered == old {
		t.Fatalf("%s %s offers the protocol: %v", broker.Kind(), broker.Image(), offered)
	}
	if !offered {
		t.Skip("the brokers do not offer the consumer group protocol")
	}
	inGroup(t, g.Client, "the id of the topic", func(ctx context.Context) (err error) {
		g.id, err = g.TopicID(ctx, g.topic)
		return err
	})
	return g
}

func (g *consumerGroup) member(id, instance string, epoch int32) GroupMember {
	return GroupMember{Member: Member{Group: g.topic, ID: id, Generation: epoch}, InstanceID: instance}
}

// beat sends a heartbeat with a report.
func (g *consumerGroup) beat(m GroupMember, owned ...int32) (ConsumerAssignment, error) {
	g.t.Helper()
	r := &ConsumerReport{Topics: []string{g.topic}, RebalanceTimeout: time.Minute}
	if len(owned) > 0 {
		r.Owned = map[TopicID][]int32{g.id: owned}
	}
	return g.ConsumerHeartbeat(deadline(g.t), ConsumerHeartbeat{GroupMember: m, Report: r})
}

// join beats until there are n partitions.
func (g *consumerGroup) join(m GroupMember, n int) (GroupMember, []int32) {
	g.t.Helper()
	var got []int32
	inGroup(g.t, g.Client, "an assignment", func(context.Context) error {
		answer, err := g.beat(m, got...)
		if err != nil {
			return err
		}
		m.Generation, got = answer.Epoch, answer.Assigned[g.id]
		if len(got) != n {
			return errors.New("not all is assigned yet")
		}
		return nil
	})
	return m, got
}

// A dynamic member's life: what it is given, how it gives back for another, what is refused, and its leave.
func TestConsumerGroupMember(t *testing.T) {
	t.Parallel()
	g := newConsumerGroup(t, 4)
	a, all := g.join(g.member("a", "", EpochJoining), 4)
	if slices.Sort(all); !slices.Equal(all, []int32{0, 1, 2, 3}) {
		t.Errorf("assigned %v", all)
	}
	quiet, err := g.ConsumerHeartbeat(deadline(t), ConsumerHeartbeat{GroupMember: a})
	if err != nil || quiet.Assigned != nil || quiet.Epoch != a.Generation || quiet.Interval <= 0 {
		t.Errorf("a heartbeat without news: %+v, %v", quiet, err)
	}
	group, err := g.DescribeConsumerGroup(deadline(t), g.topic)
	if err != nil || !group.Assigned || !slices.Equal(group.Members,
		[]ConsumerGroupMember{{ID: "a", Epoch: a.Generation, Target: 4}}) {
		t.Errorf("described as %+v, %v", group, err)
	}

	b, _ := g.join(g.member("b", "", EpochJoining), 0)
	var asked ConsumerAssignment
	inGroup(t, g.Client, "a is asked for two", func(context.Context) (err error) {
		if asked, err = g.beat(a, all...); err == nil && len(asked.Assigned[g.id]) != 2 {
			return errors.New("it is not")
		}
		return err
	})
	if asked.Epoch != a.Generation {
		t.Errorf("epoch %d before a has given back, was %d", asked.Epoch, a.Generation)
	}
	if answer, err := g.beat(b); err != nil || len(answer.Assigned[g.id]) != 0 {
		t.Errorf("b got %+v, %v before a has given back", answer, err)
	}
	kept := asked.Assigned[g.id]
	answer, err := g.beat(a, kept...)
	if err != nil || answer.Epoch <= a.Generation {
		t.Errorf("after it has given back: %+v, %v", answer, err)
	}
	b, _ = g.join(b, 2)

	for name, m := range map[string]GroupMember{
		"the one before, of who has not heard that it gave back": a, "newer": g.member("a", "", 99),
	} {
		if _, err := g.beat(m, all...); !errors.Is(err, ErrFencedMemberEpoch) {
			t.Errorf("%s epoch: %v", name, err)
		}
	}
	for range 2 {
		b.Generation = EpochLeaving
		_, err = g.ConsumerHeartbeat(deadline(t), ConsumerHeartbeat{GroupMember: b})
	}
	if !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("who has left leaves: %v", err)
	}
	a.Generation = answer.Epoch
	g.join(a, 4)
}

// A static member that rests keeps its partitions for its next start, a member that has the name until then is in the
// way, and who had it before is refused everything.
func TestStaticConsumerGroupMember(t *testing.T) {
	t.Parallel()
	g := newConsumerGroup(t, 2)
	old, _ := g.join(g.member("old", "slot-0", EpochJoining), 2)
	_, err := g.beat(g.member("new", "slot-0", EpochJoining))
	if !errors.Is(err, ErrUnreleasedInstanceID) || !strings.Contains(err.Error(), g.topic) {
		t.Errorf("join under a name that is taken: %v", err)
	}
	rest := old
	rest.Generation = EpochResting
	if _, err := g.ConsumerHeartbeat(deadline(t), ConsumerHeartbeat{GroupMember: rest}); err != nil {
		t.Fatal(err)
	}
	group, err := g.DescribeConsumerGroup(deadline(t), g.topic)
	if err != nil || len(group.Members) != 1 || group.Members[0] != (ConsumerGroupMember{"old", "slot-0", EpochResting,
		2}) {
		t.Errorf("described as %+v, %v", group, err)
	}
	answer, err := g.beat(g.member("new", "slot-0", EpochJoining))
	if err != nil || answer.Epoch != old.Generation || len(answer.Assigned[g.id]) != 2 {
		t.Errorf("came back to %+v, %v", answer, err)
	}
	if _, err := g.ConsumerHeartbeat(deadline(t), ConsumerHeartbeat{GroupMember: old}); !errors.Is(err,
		kafka.FencedInstanceID) {
		t.Errorf("heartbeat of the member that had the name before: %v", err)
	}
	if err := g.CommitMemberOffsets(deadline(t), old.Member, g.topic, offset(0, 5)); !errors.Is(err,
		kafka.UnknownMemberId) {
		t.Errorf("commit of the member that had the name before: %v", err)
	}
}

// A member may rest and come back under its own id: so does one that never got the answer to its join.
func TestConsumerGroupMemberJoinsTwice(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"", "slot-0"} {
		t.Run("instance "+instance, func(t *testing.T) {
			g := newConsumerGroup(t, 2)
			m, _ := g.join(g.member("m", instance, EpochJoining), 2)
			m.Generation = EpochJoining
			answer, err := g.beat(m)
			if errors.Is(err, ErrUnreleasedInstanceID) && instance != "" {
				m.Generation = EpochResting
				if _, err := g.ConsumerHeartbeat(deadline(t), ConsumerHeartbeat{GroupMember: m}); err != nil {
					t.Fatal(err)
				}
				m.Generation = EpochJoining
				answer, err = g.beat(m)
			}
			if err != nil || len(answer.Assigned[g.id]) != 2 {
				t.Errorf("joined again to %+v, %v", answer, err)
			}
		})
	}
}

func offset(partition int32, offset int64) map[int32]OffsetAndMetadata {
	return map[int32]OffsetAndMetadata{partition: {Offset: offset, Metadata: "note"}}
}

// Commits go by the member epoch, also within a transaction, and in no older version.
func TestConsumerGroupCommits(t *testing.T) {
	t.Parallel()
	g := newConsumerGroup(t, 2)
	m, _ := g.join(g.member("m", "", EpochJoining), 2)
	if err := g.CommitMemberOffsets(deadline(t), m.Member, g.topic, offset(0, 0)); err != nil {
		t.Fatal(err)
	}
	stored, err := g.CommittedOffsets(deadline(t), g.topic, g.topic, []int32{0, 1})
	if err != nil || stored[0] != offset(0, 0)[0] || stored[1].Offset != NoOffset {
		t.Errorf("stored %+v, %v", stored, err)
	}
	if err := g.CommitOffsets(deadline(t), m.Member, g.topic, offset(0, 1)); !errors.Is(err, kafka.UnsupportedVersion) {
		t.Errorf("commit as a member of the classic protocol: %v", err)
	}
	ahead, stranger := m.Member, m.Member
	ahead.Generation++
	stranger.ID = "stranger"
	err = g.CommitMemberOffsets(deadline(t), ahead, g.topic, offset(0, 1))
	if !errors.Is(err, ErrStaleMemberEpoch) || !strings.Contains(err.Error(), "STALE_MEMBER_EPOCH") {
		t.Errorf("commit of another epoch: %v", err)
	}
	if err := g.CommitMemberOffsets(deadline(t), stranger, g.topic, offset(0, 1)); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("commit of a stranger: %v", err)
	}

	var txn Transactional
	inGroup(t, g.Client, "a transactional id", func(ctx context.Context) (err error) {
		txn, err = g.InitTransactional(ctx, g.topic, time.Minute)
		return err
	})
	if err := g.AddOffsets(deadline(t), txn, g.topic); err != nil {
		t.Fatal(err)
	}
	next := offset(1, 1)
	if err := g.CommitTransactionOffsets(deadline(t), txn, stranger, g.topic, next); !errors.Is(err,
		kafka.UnknownMemberId) {
		t.Errorf("commit of a stranger in a transaction: %v", err)
	}
	err = g.CommitTransactionOffsets(deadline(t), txn, ahead, g.topic, next)
	if !errors.Is(err, kafka.IllegalGeneration) && !errors.Is(err, ErrStaleMemberEpoch) { // the latter says kfake
		t.Errorf("commit of another epoch in a transaction: %v", err)
	}
	if err := g.CommitTransactionOffsets(deadline(t), txn, m.Member, g.topic,
		map[int32]OffsetAndMetadata{1: {}}); err != nil {
		t.Fatal(err)
	}
	if err := g.EndTransaction(deadline(t), txn, true); err != nil {
		t.Fatal(err)
	}
	kafkatest.Eventually(t, within, "the transaction's offset", func() bool {
		stored, err := g.CommittedOffsets(deadline(t), g.topic, g.topic, []int32{1})
		return err == nil && stored[1].Offset == 0
	})
}

func TestTopicID(t *testing.T) {
	t.Parallel()
	g := newConsumerGroup(t, 1)
	if g.id == (TopicID{}) {
		t.Error("the topic has no id")
	}
	if _, err := g.TopicID(deadline(t), "no-such-topic"); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestDescribeUnknownConsumerGroup(t *testing.T) {
	t.Parallel()
	g := newConsumerGroup(t, 1)
	inGroup(t, g.Client, "the coordinator's answer", func(ctx context.Context) error {
		_, err := g.DescribeConsumerGroup(ctx, g.topic)
		if errors.Is(err, kafka.GroupIdNotFound) {
			return nil
		}
		if err == nil {
			t.Fatal("a group without members is described")
		}
		return err
	})
}

// The protocol is offered where the feature is finalized and the request is known in the version that we speak: brokers
// of Kafka 3.7 to 3.9 name the request without being able to serve it.
func TestOffersConsumerProtocol(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		feature string
		level   int16
		version int16
		code    kafka.Error
		want    bool
	}{
		{name: "Kafka 4", feature: "group.version", level: 1, version: 1, want: true},
		{name: "a later one", feature: "group.version", level: 2, version: 3, want: true},
		{name: "Kafka 3.9", feature: "metadata.version", level: 21, version: 0},
		{name: "the request alone", feature: "metadata.version", level: 21, version: 1},
		{name: "switched off", feature: "group.version", level: 0, version: 1},
		{name: "the feature alone", feature: "group.version", level: 1, version: 0},
		{name: "an error", feature: "group.version", level: 1, version: 1, code: kafka.ClusterAuthorizationFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cluster := kafkatest.Embedded(t)
			cluster.ControlKey(kmsg.ApiVersions.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if req.GetVersion() < 3 {
					return nil, nil, false // kafka-go's own
				}
				resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
				resp.ErrorCode = int16(tt.code)
				key := kmsg.NewApiVersionsResponseApiKey()
				key.ApiKey, key.MaxVersion = kmsg.ConsumerGroupHeartbeat.Int16(), tt.version
				resp.ApiKeys = append(resp.ApiKeys, key)
				f := kmsg.NewApiVersionsResponseFinalizedFeature()
				f.Name, f.MaxVersionLevel, f.MinVersionLevel = tt.feature, tt.level, tt.level
				resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
				return resp, nil, true
			})
			got, err := wire(t, cluster.ListenAddrs()).OffersConsumerProtocol(deadline(t))
			if got != tt.want || (err != nil) != (tt.code != 0) {
				t.Errorf("offered %v, %v", got, err)
			}
		})
	}
}
