package group

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// What keeps a member out is named, with what to do about it, and tried again.
func TestKIP848Refused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code kafka.Error
		fix  string
	}{
		{kafka.GroupIdNotFound, "another protocol"},
		{kafkawire.ErrUnsupportedAssignor, "classic"},
		{kafka.UnsupportedVersion, "classic"},
		{kafka.InvalidGroupId, "a valid name"},
		{kafka.GroupAuthorizationFailed, "READ"},
		{kafka.TopicAuthorizationFailed, "DESCRIBE"},
		{kafka.GroupMaxSizeReached, "group.consumer.max.size"},
	} {
		t.Run(tt.code.Title(), func(t *testing.T) {
			c := memberBroker(t, 1)
			refuse(c, kmsg.ConsumerGroupHeartbeat, tt.code)
			log, said := awaitLog(`"warn"`, `"fix"`, tt.fix, "group protocol")
			wire := kafkawire.NewClient(settings(c), testTopic)
			defer wire.Close()
			owner := &testOwner{Name: "a", Ledger: kafkatest.NewLedger()}
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan error, 1)
			go func() { left <- kip848.member(testMember(), wire, log).Join(ctx, owner) }()
			select {
			case <-said:
			case <-time.After(waitTimeout):
				t.Error("nothing was said")
			}
			eventually(t, "a has it", func() bool { return len(owner.Ledger.Of("a")) == 1 })
			cancel()
			if err := <-left; err != nil {
				t.Error(err)
			}
		})
	}
}

// A live group of the classic protocol may be closed to it: kfake's is. It is joined when its last member has left.
func TestKIP848GroupOfAnotherProtocol(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 1)
	l := kafkatest.NewLedger()
	old := startMemberOf(t, classic, settings(c), l, "old", nil)
	eventually(t, "the old one has it", old.has(1))
	log, said := awaitLog(`"warn"`, "another protocol", "group protocol")
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	owner := &testOwner{Name: "a", Ledger: l}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- kip848.member(testMember(), wire, log).Join(ctx, owner) }()
	<-said
	if grants, _ := owner.Calls(); grants != 0 {
		t.Errorf("%d grants", grants)
	}
	cancel()
	if err := <-left; err != nil {
		t.Error(err)
	}
}

// Every answer that carries news is lost once: the next heartbeat makes up for it, and nothing is dropped.
func TestKIP848LostAnswers(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"", "0"} {
		t.Run("instance "+instance, func(t *testing.T) {
			var news atomic.Int32
			c := memberBroker(t, 4, lossy(func(key kmsg.Key, answer []byte) bool {
				const header = 9 // size, correlation id, no tags
				resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
				resp.Version = 1
				return key == kmsg.ConsumerGroupHeartbeat && resp.ReadFrom(answer[header:]) == nil && resp.Assignment != nil &&
					news.Add(1)%2 == 1
			}), kfake.BrokerConfigs(map[string]string{"group.consumer.session.timeout.ms": "10000"}))
			l := kafkatest.NewLedger()
			a := startMemberOf(t, kip848, settings(c), l, "a", named(instance, true))
			eventually(t, "a has all", a.has(4))
			b := startMemberOf(t, kip848, settings(c), l, "b", nil)
			eventually(t, "they share", func() bool { return a.has(2)() && b.has(2)() })
			if grants, releases := a.Calls(); grants != 1 || releases != 1 {
				t.Errorf("a: %d grants, gave back %v", grants, a.Released())
			}
			if err := b.stop(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a has all", a.has(4))
			if n := members(c); n != 1 {
				t.Errorf("%d members are left", n)
			}
			if news.Load() < 8 {
				t.Errorf("%d answers with news", news.Load())
			}
		})
	}
}

// The id is another one after each start, also after a loss: no commit from before can count.
func TestKIP848NewIDs(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 1)
	a := startMemberOf(t, kip848, settings(c), kafkatest.NewLedger(), "a", nil)
	eventually(t, "a has it", a.has(1))
	first := a.Lease().Member()
	refuse(c, kmsg.ConsumerGroupHeartbeat, kafkawire.ErrFencedMemberEpoch)
	eventually(t, "a has it again", func() bool { grants, _ := a.Calls(); return grants == 2 })
	second := a.Lease().Member()
	if first.ID == second.ID || len(first.ID) != 36 || first.ID[14] != '4' {
		t.Errorf("ids %s, then %s", first.ID, second.ID)
	}
	if n := members(c); n != 1 {
		t.Errorf("%d members", n)
	}
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	if err := wire.CommitMemberOffsets(t.Context(), first, testTopic, at(0, 9)); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("commit under the former id: %v", err)
	}
}

// A drain over the rebalance timeout costs the membership; what drains still is granted again only after that.
func TestKIP848DrainsForTooLong(t *testing.T) {
	t.Parallel()
	s := newStage(t, kip848, 2)
	if kafkatest.Shared(t).Kind() == kafkatest.KindEmbedded {
		t.Skip("kfake gives the time again with each heartbeat")
	}
	drain := make(chan struct{})
	a := startMemberOf(t, kip848, s.settings, s.ledger, "a", func(o *memberOptions, owner *testOwner) {
		o.Group, o.Topic, o.RebalanceTimeout = s.topic, s.topic, time.Second
		owner.Drain = func([]int32) { <-drain }
	})
	end := sync.OnceFunc(func() { close(drain) })
	t.Cleanup(end)
	eventually(t, "a has all", a.has(2))
	lease, ok := a.Lease().(*memberLease)
	if !ok {
		t.Fatal("another lease")
	}
	s.ledger = kafkatest.NewLedger() // b may have them before a hears of it
	b := s.member(t, "b", "", false)
	eventually(t, "b has something", func() bool { return !b.has(0)() })
	<-lease.Lost()
	if grants, _ := a.Calls(); grants != 1 {
		t.Errorf("%d grants while it drains", grants)
	}
	end()
	eventually(t, "they share", func() bool { return a.has(1)() && b.has(1)() })
}

// A member that another one with its name has put to rest, and that notices before that one has joined, does not take
// the name back.
func TestKIP848PutToRest(t *testing.T) {
	t.Parallel()
	s := newStage(t, kip848, 2)
	a := s.member(t, "a", "same", true)
	eventually(t, "a has all", a.has(2))
	rest := kafkawire.GroupMember{Member: a.Lease().Member(), InstanceID: "same"}
	rest.Generation = kafkawire.EpochResting
	if _, err := s.admin.ConsumerHeartbeat(t.Context(), kafkawire.ConsumerHeartbeat{GroupMember: rest}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-a.left:
		if !errors.Is(err, kafka.FencedInstanceID) {
			t.Errorf("a ended with %v", err)
		}
		a.left <- nil
	case <-time.After(waitTimeout):
		t.Fatal("a has not ended")
	}
}
