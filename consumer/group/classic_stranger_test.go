package group

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// stranger is a member without a member's manners.
func stranger(t *testing.T, c *kfake.Cluster, owned ...int32) (*kafkawire.Client, kafkawire.JoinRequest) {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	t.Cleanup(wire.Close)
	req := kafkawire.JoinRequest{
		GroupMember: kafkawire.GroupMember{Member: kafkawire.Member{Group: testGroup}}, Strategy: Strategy,
		SessionTimeout: time.Minute, RebalanceTimeout: 2 * brief, Subscription: peer("", owned...).Subscription,
	}
	joined, err := wire.JoinGroup(t.Context(), req)
	if !errors.Is(err, kafka.MemberIDRequired) {
		t.Fatal(err)
	}
	req.ID = joined.ID
	return wire, req
}

// The leader dies between its join and its decision: the others join again without it.
func TestClassicLeaderDies(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 2)
	l := kafkatest.NewLedger()
	wire, req := stranger(t, c)
	joined, err := wire.JoinGroup(t.Context(), req)
	if err != nil || !joined.Leader {
		t.Fatal(joined, err)
	}
	req.Generation = joined.Generation
	a := startMemberOf(t, classic, settings(c), l, "a",
		func(cfg *memberOptions, _ *testOwner) { cfg.RebalanceTimeout = 2 * brief })
	eventually(t, "a wants to join", func() bool { return members(c) == 2 })
	req.SessionTimeout = brief
	if joined, err = wire.JoinGroup(t.Context(), req); err != nil || !joined.Leader || len(joined.Members) != 2 {
		t.Fatal(joined, err)
	}
	eventually(t, "a has all", a.has(2)) // the leader never decides
}

// A decision that knows members that have gone, or does not know one that is there, does no harm.
func TestClassicDecisionOfOthers(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 2)
	l := kafkatest.NewLedger()
	wire, req := stranger(t, c)
	joined, err := wire.JoinGroup(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	req.ID, req.Generation = joined.ID, joined.Generation
	a := startMemberOf(t, classic, settings(c), l, "a", nil)
	eventually(t, "a wants to join", func() bool { return members(c) == 2 })
	if joined, err = wire.JoinGroup(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	req.Generation = joined.Generation
	all := map[string]kafkawire.Assignment{"gone": {}, joined.ID: {Partitions: map[string][]int32{testTopic: {0, 1}}}}
	if _, err := wire.SyncGroup(t.Context(), req.GroupMember, Strategy, all); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a knows that it has nothing", func() bool { grants, _ := a.Calls(); return grants == 1 && a.has(0)() })
	if err := wire.LeaveGroup(t.Context(), req.GroupMember, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a has all", a.has(2))
}

// A stop while the group is waited for does not wait: there is nothing to give back. A static member that has not even
// learnt its id leaves all the same, or the group would wait for it until the session is over.
func TestClassicStopsWhileJoining(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"", "0"} {
		t.Run("instance "+instance, func(t *testing.T) {
			c := memberBroker(t, 1)
			wire, req := stranger(t, c)
			req.SessionTimeout, req.RebalanceTimeout = time.Minute, time.Minute
			joined, err := wire.JoinGroup(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			req.ID = joined.ID
			a := startMemberOf(t, classic, settings(c), kafkatest.NewLedger(), "a", func(o *memberOptions, _ *testOwner) {
				o.InstanceID, o.LeaveOnStop, o.session = instance, true, time.Minute
			})
			eventually(t, "a wants to join", func() bool { return members(c) == 2 })
			began := time.Now()
			if err := a.stop(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > waitTimeout/2 {
				t.Errorf("it took %v", took)
			}
			if grants, _ := a.Calls(); grants != 0 {
				t.Errorf("%d grants", grants)
			}
			eventually(t, "a has left", func() bool { return members(c) == 1 })
		})
	}
}

// A stop while a rebalance waits for another member: what drains is committed all the same, and then none is waited
// for.
func TestClassicStopsInRebalance(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 2)
	l := kafkatest.NewLedger()
	var a *memberRig
	a = startMemberOf(t, classic, settings(c), l, "a", func(_ *memberOptions, o *testOwner) {
		o.Drain = func([]int32) {
			if err := a.Lease().Commit(context.Background(), at(1, 9)); err != nil {
				t.Error(err)
			}
		}
	})
	eventually(t, "a has all", a.has(2))
	wire, req := stranger(t, c)
	req.SessionTimeout, req.RebalanceTimeout = time.Minute, time.Minute
	req.Subscription.Topics = nil // a is to keep all
	joined, err := wire.JoinGroup(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	req.Generation = joined.Generation
	if _, err := wire.SyncGroup(t.Context(), req.GroupMember, Strategy, nil); err != nil { // decided by a, which leads
		t.Fatal(err)
	}
	second, third := stranger(t, c) // makes a join again and wait for the first, which is silent from now on
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		_, _ = second.JoinGroup(ctx, third)
	}()
	eventually(t, "a rebalance waits", func() bool {
		info := c.GroupInfo(testGroup)
		return len(info.Members) == 3 && info.State == "PreparingRebalance"
	})
	began := time.Now()
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > waitTimeout/2 {
		t.Errorf("it took %v", took)
	}
	cancel()
	<-waiting
	if got := committed(t, c, 1); got != 9 {
		t.Errorf("committed %d", got)
	}
}
