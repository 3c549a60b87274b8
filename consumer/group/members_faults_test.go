package group

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
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

// A coordinator that has just loaded the group knows no member that it let in a moment ago. Who holds nothing yet joins
// again and warns of nothing: nothing was lost.
func TestForgottenWhileJoining(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		t.Parallel()
		c := memberBroker(t, 1)
		done := refuse(c, kmsg.ConsumerGroupHeartbeat, kafka.UnknownMemberId)
		if k.name == classic.name { // the second join is with the id that the first was given
			done = refuse(c, kmsg.JoinGroup, 0, kafka.UnknownMemberId)
		}
		said := make(chan string, 100)
		log := zerolog.New(writerFunc(func(b []byte) {
			if strings.Contains(string(b), `"warn"`) {
				said <- string(b)
			}
		}))
		wire := kafkawire.NewClient(settings(c), testTopic)
		defer wire.Close()
		owner := &testOwner{Name: "a", Ledger: kafkatest.NewLedger()}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- k.member(testMember(), wire, log).Join(ctx, owner) }()
		eventually(t, "a has it", func() bool { return done() && len(owner.Ledger.Of("a")) == 1 })
		cancel()
		if err := <-left; err != nil {
			t.Fatal(err)
		}
		select {
		case line := <-said:
			t.Error("it warned: " + line)
		default:
		}
	})
}

// That a coordinator never lets a member in is worth a warning in the end, whatever it answers.
func TestReportOfWhatGoesOn(t *testing.T) {
	t.Parallel()
	for _, err := range []error{kafka.UnknownMemberId, kafka.IllegalGeneration, kafkawire.ErrFencedMemberEpoch} {
		for _, tt := range []struct {
			since time.Time
			want  bool
		}{{}, {since: time.Now().Add(-2 * usualOutage), want: true}} {
			log, warned := awaitLog(`"warn"`, "group_failing")
			failing := retry{since: tt.since}
			failing.report(&log, err, "")
			select {
			case <-warned:
				if !tt.want {
					t.Errorf("%v: warned at once", err)
				}
			default:
				if tt.want {
					t.Errorf("%v: never warned", err)
				}
			}
		}
	}
}

// A coordinator that is gone for long is told of by a member that has nothing else to ask Kafka for: not with every
// heartbeat, and no more once one is answered or cut short.
func TestReportOfMissedHeartbeats(t *testing.T) {
	t.Parallel()
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: []string{"127.0.0.1:1"}})
	defer wire.Close()
	var warned int
	log := zerolog.New(writerFunc(func(b []byte) {
		if strings.Contains(string(b), "group_failing") {
			warned++
		}
	}))
	m := &classicMember{Classic: &Classic{member: newMember(Config{Group: "g"}, wire, log), session: time.Minute},
		identity: newIdentity(kafkawire.GroupMember{})}
	missed := missedBeats{retry: retry{since: time.Now().Add(-2 * usualOutage)}, n: 3}
	for range 4 { // the 4th to the 7th
		if err := m.beat(t.Context(), &missed); err != nil {
			t.Fatal(err)
		}
	}
	if warned != 1 || missed.n != 7 {
		t.Errorf("after %d heartbeats: warned %d times", missed.n, warned)
	}
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.beat(cut, &missed); err != nil || warned != 1 || missed.n != 7 {
		t.Errorf("cut short: %v, warned %d times", err, warned)
	}
}

// A member that the group has put out has nothing to leave: asking again would hold up the program's end.
func TestLeavingIsNotRepeatedInVain(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{kafkawire.ErrFencedMemberEpoch, kafka.UnknownMemberId, kafka.GroupAuthorizationFailed} {
		wire := kafkawire.NewClient(kafkawire.Settings{})
		defer wire.Close()
		m, asked := &member{wire: wire, log: zerolog.Nop()}, 0
		m.leave(t.Context(), func(context.Context) error { asked++; return answer })
		if asked != 1 {
			t.Errorf("%v: asked %d times", answer, asked)
		}
	}
}
