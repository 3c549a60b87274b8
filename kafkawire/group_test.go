package kafkawire

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func joinRequest(group, topic, instance string) JoinRequest {
	return JoinRequest{
		GroupMember: GroupMember{Member: Member{Group: group}, InstanceID: instance}, Strategy: "test",
		SessionTimeout: 30 * time.Second, RebalanceTimeout: 10 * time.Second,
		Subscription: Subscription{Topics: []string{topic}, Owned: map[string][]int32{topic: {1}}, Generation: 3},
	}
}

// inGroup repeats what a new group or coordinator refuses at first.
func inGroup(t *testing.T, c *Client, what string, do func(ctx context.Context) error) {
	t.Helper()
	kafkatest.Eventually(t, within, what, func() bool {
		err := do(deadline(t))
		if err != nil && !Transient(err) {
			t.Fatal(err)
		}
		if err != nil {
			c.Reset()
		}
		return err == nil
	})
}

// A dynamic member's life, from the id it has to ask with to its leave.
func TestGroupMembership(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 2)
	c := wire(t, broker.Brokers(), topic)
	req := joinRequest(topic, topic, "")
	var joined Joined
	inGroup(t, c, "a member with an id", func(ctx context.Context) (err error) {
		joined, err = c.JoinGroup(ctx, req)
		switch {
		case errors.Is(err, kafka.MemberIDRequired):
			req.ID = joined.ID
			return kafka.GroupLoadInProgress // once more, with it
		case errors.Is(err, kafka.UnknownMemberId):
			req.ID = "" // a coordinator that has just loaded its partition has forgotten it
			return kafka.GroupLoadInProgress
		}
		return err
	})
	if req.ID == "" {
		t.Fatal("no member id")
	}
	if !joined.Leader || joined.Coordinated || joined.ID != req.ID || joined.Generation < 0 || len(joined.Members) != 1 {
		t.Fatalf("joined %+v", joined)
	}
	if assigned, err := c.AssignedPartitions(deadline(t), topic); !errors.Is(err, kafka.RebalanceInProgress) {
		t.Errorf("before the leader has decided: assigned %v, %v", assigned, err)
	}
	if p := joined.Members[0]; p.ID != req.ID || p.InstanceID != "" || p.Subscription.Generation != 3 ||
		!slices.Equal(p.Subscription.Topics, []string{topic}) || !slices.Equal(p.Subscription.Owned[topic], []int32{1}) {
		t.Errorf("the leader sees %+v", p)
	}
	m := req.GroupMember
	m.Generation = joined.Generation
	want := Assignment{Partitions: map[string][]int32{topic: {0, 1}}}
	got, err := c.SyncGroup(deadline(t), m, "test", map[string]Assignment{m.ID: want, "gone": {}})
	if err != nil || !slices.Equal(got.Partitions[topic], []int32{0, 1}) {
		t.Fatalf("assigned %+v, %v", got, err)
	}
	if assigned, err := c.AssignedPartitions(deadline(t), topic); err != nil ||
		!maps.Equal(assigned, map[string]int32{topic: 2}) {
		t.Errorf("assigned %v, %v", assigned, err)
	}
	if err := c.Heartbeat(deadline(t), m); err != nil {
		t.Error(err)
	}
	m.Generation++
	if err := c.Heartbeat(deadline(t), m); !errors.Is(err, kafka.IllegalGeneration) {
		t.Errorf("heartbeat of another generation: %v", err)
	}
	if _, err := c.SyncGroup(deadline(t), m, "test", nil); !errors.Is(err, kafka.IllegalGeneration) {
		t.Errorf("sync of another generation: %v", err)
	}
	for range 2 { // the second one finds that it has left
		if err := c.LeaveGroup(deadline(t), m, "the test is over"); err != nil {
			t.Error(err)
		}
	}
	if err := c.Heartbeat(deadline(t), m); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("heartbeat of a member that has left: %v", err)
	}
	req.Strategy = ""
	if _, err := c.JoinGroup(deadline(t), req); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("join of a member that has left: %v", err)
	}
}

// A static member that joins again under its name has its assignment, and who had the name before is refused
// everything.
func TestStaticMembership(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	c := wire(t, broker.Brokers(), topic)
	req := joinRequest(topic, topic, "slot-0")
	var old, fresh Joined
	inGroup(t, c, "a member", func(ctx context.Context) (err error) {
		old, err = c.JoinGroup(ctx, req)
		return err
	})
	before := req.GroupMember
	before.ID, before.Generation = old.ID, old.Generation
	if old.Members[0].InstanceID != "slot-0" {
		t.Errorf("the leader sees %+v", old.Members)
	}
	all := map[string]Assignment{old.ID: {Partitions: map[string][]int32{topic: {0}}}}
	if _, err := c.SyncGroup(deadline(t), before, "test", all); err != nil {
		t.Fatal(err)
	}
	fresh, err := c.JoinGroup(deadline(t), req)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.ID == old.ID || fresh.Generation != old.Generation || !fresh.Leader || len(fresh.Members) != 0 {
		t.Errorf("came back as %+v, was %+v", fresh, old)
	}
	after := req.GroupMember
	after.ID, after.Generation = fresh.ID, fresh.Generation
	got, err := c.SyncGroup(deadline(t), after, "test", nil)
	if err != nil || !slices.Equal(got.Partitions[topic], []int32{0}) {
		t.Errorf("assigned %+v, %v", got, err)
	}
	if err := c.Heartbeat(deadline(t), before); !errors.Is(err, kafka.FencedInstanceID) {
		t.Errorf("heartbeat of the member that had the name before: %v", err)
	}
	err = c.LeaveGroup(deadline(t), before, "")
	if !errors.Is(err, kafka.FencedInstanceID) && broker.Kind() != kafkatest.KindEmbedded { // kfake looks at the name only
		t.Errorf("leave of the member that had the name before: %v", err)
	}
	if err := c.LeaveGroup(deadline(t), after, ""); err != nil && broker.Kind() != kafkatest.KindEmbedded {
		t.Error(err)
	}
}

func TestPartitionCounts(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	two, three := broker.Topic(t, 2), broker.Topic(t, 3)
	c := wire(t, broker.Brokers(), two)
	counts, err := c.PartitionCounts(deadline(t), []string{two, three, "no-such-topic"})
	if want := map[string]int32{two: 2, three: 3}; err != nil || !maps.Equal(counts, want) {
		t.Errorf("counted %v, %v, want %v", counts, err, want)
	}
	if counts, err := c.PartitionCounts(deadline(t), nil); err != nil || len(counts) != 0 {
		t.Errorf("counted %v, %v of no topics", counts, err)
	}
	counts, err = c.PartitionCounts(deadline(t), []string{"not a topic's name"})
	if err == nil && broker.Kind() != kafkatest.KindEmbedded { // to kfake it is one that does not exist
		t.Errorf("counted %v", counts)
	}
}

// A member whose subscription cannot be read is named: nothing can be assigned without knowing what it owns.
func TestJoinWithUnreadableSubscription(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t)
	cluster.ControlKey(kmsg.JoinGroup.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.MemberID, resp.LeaderID = "me", "me"
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.ProtocolMetadata = "odd-one", []byte{0}
		resp.Members = append(resp.Members, m)
		return resp, nil, true
	})
	c := wire(t, cluster.ListenAddrs())
	if _, err := c.JoinGroup(deadline(t), joinRequest("g", "t", "")); err == nil ||
		!strings.Contains(err.Error(), "odd-one") {
		t.Errorf("error %v does not name the member", err)
	}
}

func genTopics(rt *rapid.T) map[string][]int32 {
	return rapid.MapOf(rapid.StringMatching(`[a-z._-]{1,9}`), rapid.SliceOfN(rapid.Int32(), 1, 5)).Draw(rt, "partitions")
}

func TestGroupMetadataRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := Subscription{
			Topics: rapid.SliceOfN(rapid.String(), 1, 4).Draw(rt, "topics"), Owned: genTopics(rt),
			Generation: rapid.Int32Min(-1).Draw(rt, "generation"),
		}
		got, err := decodeSubscription(s.encode())
		if err != nil || !slices.Equal(got.Topics, s.Topics) || got.Generation != s.Generation ||
			!maps.EqualFunc(got.Owned, s.Owned, slices.Equal) {
			rt.Fatalf("%+v became %+v, %v", s, got, err)
		}
		a := Assignment{Partitions: genTopics(rt)}
		back, err := DecodeAssignment(a.encode())
		if err != nil || !maps.EqualFunc(back.Partitions, a.Partitions, slices.Equal) {
			rt.Fatalf("%+v became %+v, %v", a, back, err)
		}
	})
	if a, err := DecodeAssignment(nil); err != nil || len(a.Partitions) != 0 {
		t.Errorf("no assignment: %+v, %v", a, err)
	}
}

// The encoding is the standard one: the bytes of Kafka's ConsumerProtocolSubscription version 3, written out by hand.
func TestSubscriptionBytes(t *testing.T) {
	t.Parallel()
	s := Subscription{Topics: []string{"t"}, Owned: map[string][]int32{"t": {7}}, Generation: 5}
	want := []byte{
		0, 3, // version
		0, 0, 0, 1, 0, 1, 't', // topics
		255, 255, 255, 255, // no user data
		0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 7, // owned partitions
		0, 0, 0, 5, // generation
		255, 255, // no rack
	}
	if got := s.encode(); !slices.Equal(got, want) {
		t.Errorf("encoded as %v, want %v", got, want)
	}
}

func FuzzSubscription(f *testing.F) {
	s := Subscription{Topics: []string{"t"}, Owned: map[string][]int32{"t": {7}}, Generation: 5}
	f.Add(s.encode())
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSubscription(b)
		if err != nil {
			return
		}
		again, err := decodeSubscription(s.encode())
		if err != nil || !slices.Equal(again.Topics, s.Topics) || !maps.EqualFunc(again.Owned, s.Owned, slices.Equal) {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
	})
}

func FuzzAssignment(f *testing.F) {
	a := Assignment{Partitions: map[string][]int32{"t": {7}}}
	f.Add(a.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeAssignment(b)
		if err != nil {
			return
		}
		again, err := DecodeAssignment(a.encode())
		if err != nil || !maps.EqualFunc(again.Partitions, a.Partitions, slices.Equal) {
			t.Errorf("%+v became %+v, %v", a, again, err)
		}
	})
}
