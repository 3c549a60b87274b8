package consumer

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What stands behind an open transaction is lag, and the transaction is named; when it ends, everything comes.
func TestOpenTransactionHoldsUpItsPartition(t *testing.T) {
	t.Parallel()
	c := broker(t, 2)
	r := start(t, c, answerAll, nil)
	r.grant(0, 1)
	produce(t, c, 0, requests(1, 3)...)
	withClient(t, c, func(cl *kgo.Client) error {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		if err := cl.ProduceSync(t.Context(), records(0, requests(11, 2))...).FirstErr(); err != nil {
			return err
		}
		produce(t, c, 0, requests(21, 5)...)
		produce(t, c, 1, requests(31, 1)...)
		eventually(t, "it is seen", func() bool {
			p, _ := r.partition(0)
			return p.HeldUp != nil && p.HeldUp.From == 3 && p.Lag() == 7
		})
		eventually(t, "the other partition goes on", func() bool {
			p, _ := r.partition(1)
			return p.Next == 1 && p.HeldUp == nil
		})
		r.gate.set("breaker") // now there are no fetches to tell of the end
		produce(t, c, 0, requests(41, 1)...)
		eventually(t, "it is seen during a pause, too", func() bool {
			p, _ := r.partition(0)
			return p.HeldUp != nil && p.Lag() == 8
		})
		r.gate.set("")
		return cl.EndTransaction(t.Context(), kgo.TryCommit)
	}, kgo.TransactionalID("slow"))
	eventually(t, "all of it is answered", func() bool {
		p, _ := r.partition(0)
		return len(r.delivery.offsets(0)) == 11 && p.HeldUp == nil && p.Lag() == 0
	})
}

// Lag is right while the brokers refuse to hand out anything.
func TestLagWhileFetchesAreRefused(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	r := start(t, c, answerAll, nil)
	r.grant(0)
	produce(t, c, 0, requests(1, 9)...)
	eventually(t, "the lag is known", func() bool { p, _ := r.partition(0); return p.Lag() == 9 })
	refused.Remove()
	eventually(t, "all of it is answered", func() bool {
		p, _ := r.partition(0)
		return len(r.delivery.offsets(0)) == 9 && p.Lag() == 0
	})
}

// Only a transaction that takes long is told of, at every doubling; one that follows another begins afresh.
func TestLongTransactionsAreToldOf(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	p := newPartition(&Consumer{cfg: Config{Topic: "requests"}, log: zerolog.New(&log)}, 3, &fakeLease{},
		position{start: 5})
	began := time.Now()
	at := func(after time.Duration, stable, end int64) (lines int, long bool) {
		log.Reset()
		now := began.Add(after)
		p.mu.Lock()
		p.heard(stable, end, now)
		p.mu.Unlock()
		p.logHeldUp(now)
		return strings.Count(log.String(), "\n"), p.status().HeldUp.Long(now)
	}
	for _, step := range []struct {
		after       time.Duration
		stable, end int64
		lines       int
		long        bool
	}{
		{0, 5, 5, 0, false},
		{time.Second, 5, 9, 0, false},
		{10 * time.Second, 5, 10, 0, false}, // 9 s old
		{11 * time.Second, 5, 10, 1, true},
		{12 * time.Second, 5, 11, 0, true},
		{22 * time.Second, 5, 11, 1, true},
		{23 * time.Second, 7, 11, 0, false}, // records before it are to be read
	} {
		if lines, long := at(step.after, step.stable, step.end); lines != step.lines || long != step.long {
			t.Errorf("after %v: %d lines, long %v; want %d, %v", step.after, lines, long, step.lines, step.long)
		}
	}
	p.fetchNext = 7
	if lines, long := at(24*time.Second, 7, 11); lines != 0 || long {
		t.Error("the next transaction is told of at once")
	}
	if _, long := at(34*time.Second, 7, 11); !long || !strings.Contains(log.String(),
		`kafka-transactions.sh --bootstrap-server BROKER abort --topic requests --partition 3 --start-offset 7`) {
		t.Errorf("told of as %s", log.String())
	}
}
