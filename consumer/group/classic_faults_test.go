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
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// The group went on without a static member: what it was given then may be with others by now.
func TestClassicMissedGeneration(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 2)
	a := startMemberOf(t, classic, settings(c), kafkatest.NewLedger(), "a", nil)
	eventually(t, "a has all", a.has(2))
	lease := a.Lease()
	var once sync.Once
	control(c, kmsg.JoinGroup, func(req kmsg.Request) (resp kmsg.Response, handled bool) {
		once.Do(func() {
			r := req.ResponseKind().(*kmsg.JoinGroupResponse)
			r.LeaderID = "another"
			r.MemberID, r.Generation = req.(*kmsg.JoinGroupRequest).MemberID, 100
			resp, handled = r, true
		})
		return resp, handled
	})
	off := control(c, kmsg.SyncGroup, func(req kmsg.Request) (kmsg.Response, bool) {
		r := req.ResponseKind().(*kmsg.SyncGroupResponse)
		r.ErrorCode = int16(kafka.RebalanceInProgress)
		return r, req.(*kmsg.SyncGroupRequest).Generation == 100
	})
	defer off()
	refuse(c, kmsg.Heartbeat, kafka.RebalanceInProgress)
	eventually(t, "a has dropped all", func() bool { _, releases := a.Calls(); return releases == 1 })
	if err := lease.Commit(t.Context(), at(0, 5)); !errors.Is(err, errLost) {
		t.Errorf("commit of what was lost: %v", err)
	}
	eventually(t, "a has all again", func() bool { grants, _ := a.Calls(); return grants == 2 && a.has(2)() })
}

func TestMissed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		before, now int32
		coordinated bool
		want        bool
	}{
		{before: neverJoined, now: 7}, {before: 7, now: 7}, {before: 7, now: 8},
		{before: 7, now: 9, want: true}, {before: 7, now: 1, want: true}, {before: 7, now: 9, coordinated: true},
	} {
		if got := missed(tt.before, kafkawire.Joined{Generation: tt.now, Coordinated: tt.coordinated}); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// A group of another strategy is closed to a member until its last member has left.
func TestClassicOtherStrategy(t *testing.T) {
	t.Parallel()
	c := memberBroker(t, 1)
	wire, req := stranger(t, c)
	req.Strategy, req.SessionTimeout = "range", time.Minute
	old, err := wire.JoinGroup(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	req.ID = old.ID
	log, refused := awaitLog("another assignment strategy", `"warn"`)
	owner := &testOwner{Name: "a", Ledger: kafkatest.NewLedger()}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- classic.member(testMember(), wire, log).Join(ctx, owner) }()
	<-refused
	if err := wire.LeaveGroup(t.Context(), req.GroupMember, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a has it", func() bool { return len(owner.Ledger.Of("a")) == 1 })
	cancel()
	if err := <-left; err != nil {
		t.Fatal(err)
	}
}

// awaitLog is a log and a channel that is closed when a line has come that holds all of parts.
func awaitLog(parts ...string) (zerolog.Logger, <-chan struct{}) {
	seen := make(chan struct{})
	once := sync.OnceFunc(func() { close(seen) })
	return zerolog.New(writerFunc(func(b []byte) {
		for _, part := range parts {
			if !strings.Contains(string(b), part) {
				return
			}
		}
		once()
	})), seen
}

type writerFunc func(b []byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
