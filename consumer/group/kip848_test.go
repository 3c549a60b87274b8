package group

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// corpse is a static member that has died without a word, with all partitions in its name.
func (s *stage) corpse(t *testing.T, instance string) kafkawire.GroupMember {
	t.Helper()
	dead := kafkawire.GroupMember{Member: kafkawire.Member{Group: s.topic, ID: "corpse"}, InstanceID: instance}
	report := &kafkawire.ConsumerReport{Topics: []string{s.topic}, RebalanceTimeout: timeout}
	eventually(t, "the member has all", func() bool {
		answer, err := s.admin.ConsumerHeartbeat(t.Context(), kafkawire.ConsumerHeartbeat{GroupMember: dead, Report: report})
		if err != nil {
			s.admin.Reset()
			return false
		}
		dead.Generation = answer.Epoch
		for _, partitions := range answer.Assigned {
			return len(partitions) == int(s.n)
		}
		return false
	})
	return dead
}

// A member that comes back after a death does not wait for the end of the session, and no other member stops; the dead
// one, should it only have slept, can do nothing any more.
func TestKIP848FencesPrevious(t *testing.T) {
	t.Parallel()
	s := newStage(t, kip848, 4)
	dead := s.corpse(t, "0")
	began := time.Now()
	a := s.member(t, "a", "0", true)
	eventually(t, "a has all", a.has(4))
	if took := time.Since(began); took > timeout/2 { // the session is 45 s
		t.Errorf("it took %v", took)
	}
	if err := s.admin.CommitMemberOffsets(t.Context(), dead.Member, s.topic, at(0, 0)); !errors.Is(err,
		kafka.UnknownMemberId) {
		t.Errorf("commit of the dead one: %v", err)
	}
	_, err := s.admin.ConsumerHeartbeat(t.Context(), kafkawire.ConsumerHeartbeat{GroupMember: dead})
	if !errors.Is(err, kafka.FencedInstanceID) {
		t.Errorf("heartbeat of the dead one: %v", err)
	}
	if err := a.Lease().Commit(t.Context(), at(0, 0)); err != nil {
		t.Error(err)
	}
}

// A topic that was made again has other records under the same offsets: everything is dropped and granted afresh.
func TestKIP848TopicMadeAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t, kip848, 2)
	a := s.member(t, "a", "", false)
	eventually(t, "a has all", a.has(2))
	lease := a.Lease()
	if _, err := s.admin.API().
		DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{s.topic}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic is back", func() bool {
		_, err := s.admin.CreateTopic(t.Context(), kafkawire.Topic{Name: s.topic, Partitions: 2, ReplicationFactor: 1})
		return err == nil
	})
	eventually(t, "a has the new ones", func() bool {
		grants, _ := a.Calls()
		return grants > 1 && a.has(2)() && a.Lease() != lease
	})
	if err := a.Lease().Commit(t.Context(), at(0, 0)); err != nil {
		t.Error(err)
	}
}

// Offsets go into a transaction under the epoch of the member, and of what is lost none do.
func TestKIP848Transaction(t *testing.T) {
	t.Parallel()
	s := newStage(t, kip848, 2)
	a := s.member(t, "a", "same", true)
	eventually(t, "a has all", a.has(2))
	known := a.Lease()
	var txn kafkawire.Transactional
	ready := func(do func() error) func() bool {
		return func() bool {
			err := do()
			if err != nil {
				s.admin.Reset()
			}
			return err == nil
		}
	}
	eventually(t, "a transactional id is there", ready(func() (err error) {
		txn, err = s.admin.InitTransactional(t.Context(), s.topic, time.Minute)
		return err
	}))
	commit := func() error {
		return s.admin.CommitTransactionOffsets(t.Context(), txn, known.Member(), s.topic, at(0, 0))
	}
	eventually(t, "offsets are announced", ready(func() error { return s.admin.AddOffsets(t.Context(), txn, s.topic) }))
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	s.ledger.Expel("a")
	b := s.member(t, "b", "same", true)
	if err := <-a.left; !errors.Is(err, kafka.FencedInstanceID) {
		t.Errorf("a ended with %v", err)
	}
	a.left <- nil
	if err := commit(); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("commit of what was lost: %v", err)
	}
	if err := s.admin.EndTransaction(t.Context(), txn, false); err != nil {
		t.Error(err)
	}
	eventually(t, "b has all", b.has(2))
}

// To have nothing is told apart from waiting for others also where the coordinator has not assigned yet, or cannot be
// asked.
func TestKIP848Unassigned(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 1)
	l := kafkatest.NewLedger()
	a := startMemberOf(t, kip848, settings(c), l, "a", nil)
	eventually(t, "a has it", a.has(1))
	var mu sync.Mutex
	asked, latest := 0, ""
	control(c, kmsg.ConsumerGroupHeartbeat, func(req kmsg.Request) (kmsg.Response, bool) {
		mu.Lock()
		defer mu.Unlock()
		if beat := req.(*kmsg.ConsumerGroupHeartbeatRequest); beat.MemberEpoch == kafkawire.EpochJoining {
			latest = beat.MemberID
		}
		return nil, false
	})
	control(c, kmsg.ConsumerGroupDescribe, func(req kmsg.Request) (kmsg.Response, bool) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked > 2 {
			return nil, false
		}
		resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Epoch, g.AssignmentEpoch = 2, 1 // yet to be assigned
		m := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		m.MemberID = latest
		g.Members = append(g.Members, m)
		if asked == 1 {
			g.ErrorCode = int16(kafka.GroupLoadInProgress)
		}
		resp.Groups = append(resp.Groups, g)
		return resp, true
	})
	b := startMemberOf(t, kip848, settings(c), l, "b", nil)
	eventually(t, "b knows that it has nothing", func() bool { grants, _ := b.Calls(); return grants == 1 })
	mu.Lock()
	defer mu.Unlock()
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

// The report of a member is complete, and only sent when there is something to say.
func TestKIP848Reports(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 2)
	var mu sync.Mutex
	var seen []*kmsg.ConsumerGroupHeartbeatRequest
	control(c, kmsg.ConsumerGroupHeartbeat, func(req kmsg.Request) (kmsg.Response, bool) {
		mu.Lock()
		defer mu.Unlock()
		beat := *req.(*kmsg.ConsumerGroupHeartbeatRequest)
		seen = append(seen, &beat)
		return nil, false
	})
	at := func(i int) *kmsg.ConsumerGroupHeartbeatRequest { mu.Lock(); defer mu.Unlock(); return seen[i] }
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(seen) }
	a := startMemberOf(t, kip848, settings(c), kafkatest.NewLedger(), "a", named("0", false))
	eventually(t, "there are four heartbeats", func() bool { return count() >= 4 })
	join, ack, quiet := at(0), at(1), at(3)
	if join.MemberEpoch != 0 || join.Topics == nil || len(join.Topics) != 0 || join.ServerAssignor != nil ||
		!slices.Equal(join.SubscribedTopicNames, []string{testTopic}) ||
		join.RebalanceTimeoutMillis != int32(timeout.Milliseconds()) || join.InstanceID == nil {
		t.Errorf("joined with %+v", join)
	}
	if len(ack.Topics) != 1 || !slices.Equal(ack.Topics[0].Partitions, []int32{0, 1}) || ack.MemberEpoch == 0 {
		t.Errorf("then said %+v", ack)
	}
	if quiet.Topics != nil || quiet.SubscribedTopicNames != nil || quiet.RebalanceTimeoutMillis != -1 ||
		quiet.MemberID != join.MemberID {
		t.Errorf("without news it says %+v", quiet)
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	if last := at(count() - 1); last.MemberEpoch != kafkawire.EpochResting || last.MemberID != join.MemberID {
		t.Errorf("left with %+v", last)
	}
}
