package group

import (
	"errors"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// control answers requests of one kind until off is called.
func control(c *kfake.Cluster, key kmsg.Key, answer func(kmsg.Request) (kmsg.Response, bool)) (off func()) {
	var mu sync.Mutex
	on := true
	c.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		mu.Lock()
		defer mu.Unlock()
		c.KeepControl()
		if !on {
			return nil, nil, false
		}
		resp, handled := answer(req)
		return resp, nil, handled
	})
	return func() { mu.Lock(); defer mu.Unlock(); on = false }
}

// refuse answers the next requests of one kind with codes; 0 leaves one to the broker. done says that all are used up.
func refuse(c *kfake.Cluster, key kmsg.Key, codes ...kafka.Error) (done func() bool) {
	var mu sync.Mutex
	control(c, key, func(req kmsg.Request) (kmsg.Response, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(codes) == 0 {
			return nil, false
		}
		code := int16(codes[0])
		codes = codes[1:]
		resp := req.ResponseKind()
		switch resp := resp.(type) {
		case *kmsg.HeartbeatResponse:
			resp.ErrorCode = code
		case *kmsg.ConsumerGroupHeartbeatResponse:
			resp.ErrorCode = code
		case *kmsg.JoinGroupResponse:
			resp.ErrorCode = code
		case *kmsg.OffsetCommitResponse:
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.ErrorCode = code
			topic := kmsg.NewOffsetCommitResponseTopic()
			topic.Partitions = append(topic.Partitions, p)
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, code != 0
	})
	return func() bool { mu.Lock(); defer mu.Unlock(); return len(codes) == 0 }
}

// Thrown out of the group: everything is dropped, nothing of it can be committed, and the member joins again as
// another.
func TestThrownOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind kind
		code kafka.Error
	}{
		{classic, kafka.UnknownMemberId}, {classic, kafka.IllegalGeneration},
		{kip848, kafka.UnknownMemberId}, {kip848, kafkawire.ErrFencedMemberEpoch},
	} {
		t.Run(tt.kind.name+"/"+tt.code.Title(), func(t *testing.T) {
			c := memberBroker(t, 2)
			a := startMemberOf(t, tt.kind, settings(c), kafkatest.NewLedger(), "a", nil)
			eventually(t, "a has all", a.has(2))
			lease := a.Lease()
			refuse(c, tt.kind.beat, tt.code)
			eventually(t, "a has all again", func() bool { grants, releases := a.Calls(); return grants == 2 && releases == 1 })
			if err := lease.Commit(t.Context(), at(0, 5)); !errors.Is(err, errLost) {
				t.Errorf("commit of what was lost: %v", err)
			}
			if err := a.Lease().Commit(t.Context(), at(0, 6)); err != nil {
				t.Error(err)
			}
			if got := committed(t, c, 0); got != 6 {
				t.Errorf("committed %d", got)
			}
		})
	}
}

// What is lost is not to be drained for the group's sake: the owner hears of it while it drains.
func TestLossIsHeardWhileDraining(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		c := memberBroker(t, 2)
		var a *memberRig
		a = startMemberOf(t, k, settings(c), kafkatest.NewLedger(), "a", func(_ *memberOptions, o *testOwner) {
			o.Drain = func([]int32) {
				<-a.Leases()[0].Lost()
			}
		})
		eventually(t, "a has all", a.has(2))
		refuse(c, k.beat, kafka.UnknownMemberId)
		eventually(t, "a has all again", func() bool { grants, _ := a.Calls(); return grants == 2 && a.has(2)() })
		a.Drain = nil
	})
}

// A coordinator that fails is no reason to give anything back.
func TestCoordinatorFails(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		c := memberBroker(t, 2)
		a := startMemberOf(t, k, settings(c), kafkatest.NewLedger(), "a", nil)
		eventually(t, "a has all", a.has(2))
		for _, code := range []kafka.Error{kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable,
			kafka.NotCoordinatorForGroup} {
			eventually(t, "a heartbeat was refused", refuse(c, k.beat, code))
			if err := a.Lease().Commit(t.Context(), at(0, 4)); err != nil { // renews the session
				t.Error(err)
			}
		}
		for range 5 {
			c.RehashCoordinators()
			if err := a.Lease().Commit(t.Context(), at(0, 5)); err != nil {
				t.Error(err)
			}
		}
		if grants, releases := a.Calls(); grants != 1 || releases != 0 {
			t.Errorf("%d grants, %d releases", grants, releases)
		}
	})
}

// Joins that are refused are tried again, whatever the reason.
func TestJoinIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind  kind
		key   kmsg.Key
		codes []kafka.Error
	}{
		{classic, kmsg.JoinGroup, []kafka.Error{
			kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.GroupAuthorizationFailed,
			kafka.UnknownMemberId,
		}},
		{kip848, kmsg.ConsumerGroupHeartbeat, []kafka.Error{
			kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.GroupIdNotFound, kafka.UnknownMemberId,
			kafkawire.ErrFencedMemberEpoch, kafkawire.ErrUnreleasedInstanceID,
		}},
	} {
		t.Run(tt.kind.name, func(t *testing.T) {
			c := memberBroker(t, 1)
			refuse(c, tt.key, tt.codes...)
			a := startMemberOf(t, tt.kind, settings(c), kafkatest.NewLedger(), "a", nil)
			eventually(t, "a has it", a.has(1))
		})
	}
}

// Commits that meet a newer generation or a coordinator that moves wait for the end of it; others are refused at once.
func TestCommitDuringRebalance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind  kind
		codes []kafka.Error
	}{
		{classic, []kafka.Error{kafka.RebalanceInProgress, kafka.IllegalGeneration, kafka.NotCoordinatorForGroup}},
		{kip848, []kafka.Error{kafkawire.ErrStaleMemberEpoch, kafka.NotCoordinatorForGroup}},
	} {
		t.Run(tt.kind.name, func(t *testing.T) {
			c := memberBroker(t, 1)
			a := startMemberOf(t, tt.kind, settings(c), kafkatest.NewLedger(), "a", nil)
			eventually(t, "a has it", a.has(1))
			done := refuse(c, kmsg.OffsetCommit, append(tt.codes, 0, kafka.OffsetMetadataTooLarge)...)
			if err := a.Lease().Commit(t.Context(), at(0, 5)); err != nil || done() {
				t.Errorf("commit: %v, all answers used up %v", err, done())
			}
			if err := a.Lease().Commit(t.Context(), at(0, 6)); !errors.Is(err, kafka.OffsetMetadataTooLarge) || !done() {
				t.Errorf("commit: %v, all answers used up %v", err, done())
			}
			if got := committed(t, c, 0); got != 5 {
				t.Errorf("committed %d", got)
			}
		})
	}
}
