package consumer

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

func TestStartOffsets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		start     Start
		committed int64 // kafkawire.NoOffset: none
		first     int64 // the first record that is read
	}{
		"earliest":                {Earliest, kafkawire.NoOffset, 2}, // the log begins there
		"latest":                  {Latest, kafkawire.NoOffset, 10},
		"committed over earliest": {Earliest, 4, 4},
		"committed over latest":   {Latest, 4, 4},
		"committed is the end":    {Earliest, 10, 10},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 1)
			produce(t, c, 0, requests(1, 10)...)
			if err := c.DeleteRecords(testTopic, 0, 2); err != nil {
				t.Fatal(err)
			}
			if test.committed >= 0 {
				if err := storeOffsets(c, at(0, test.committed)); err != nil {
					t.Fatal(err)
				}
			}
			r := start(t, c, answerAll, func(cfg *Config) { cfg.Start = test.start })
			lease := r.grant(0)
			if test.first == 10 && test.committed < 0 {
				// A restart before the first record comes must not resolve "latest" again.
				eventually(t, "the start is committed before any record comes", func() bool { return lease.offset(0) == 10 })
			}
			produce(t, c, 0, requests(11, 2)...)
			eventually(t, "everything is committed", func() bool { return lease.offset(0) == 12 })
			got := r.delivery.offsets(0)
			slices.Sort(got) // each is another contract
			if want := sequence(test.first, 12); !slices.Equal(got, want) {
				t.Errorf("read %v, want %v", got, want)
			}
			if _, _, jumps := r.observer.seen(); len(jumps) != 0 {
				t.Errorf("jumps %v", jumps)
			}
		})
	}
}

// Where to start is asked for until there is an answer: a guess would lose or repeat records.
func TestGrantWaitsForTheStartOffset(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 5)...)
	if err := storeOffsets(c, at(0, 3)); err != nil {
		t.Fatal(err)
	}
	unstable := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnstableOffsetCommit, Count: 3})
	defer unstable.Remove()
	r := start(t, c, answerAll, nil)
	lease := r.grant(0)
	eventually(t, "everything is committed", func() bool { return lease.offset(0) == 5 })
	if got := r.delivery.offsets(0); len(got) != 2 {
		t.Errorf("read %v, want 3 and 4", got)
	}
}

// Partitions that are asked back before their start is known were never owned.
func TestGrantIsTakenBackBeforeTheStartIsKnown(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	asked := make(chan struct{}, 100)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress, Count: -1,
		When: func(kmsg.Request) bool {
			asked <- struct{}{}
			return true
		}})
	r := start(t, c, answerAll, nil)
	ctx, cancel := context.WithCancel(context.Background())
	granted := make(chan struct{})
	lease := &fakeLease{}
	go func() {
		r.owner.Grant(ctx, lease, []int32{0})
		close(granted)
	}()
	<-asked
	cancel()
	<-granted
	r.owner.Release([]int32{0})
	if n := len(r.Status().Partitions); n != 0 || lease.commits() != 0 || r.Status().Joined {
		t.Errorf("%d partitions, %d commits, joined %v", n, lease.commits(), r.Status().Joined)
	}
}

// Neither aborted records nor control records are handled, and neither holds the committed offset back.
func TestTransactions(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 2)...)                    // 0, 1
	produceTransaction(t, c, 0, true, requests(10, 2)...)  // 2, 3 and a marker
	produceTransaction(t, c, 0, false, requests(20, 3)...) // 5, 6, 7 and a marker
	produce(t, c, 0, requests(30, 1)...)                   // 9
	produceTransaction(t, c, 0, false, requests(40, 1)...) // 10 and a marker, at the end
	r := start(t, c, answerAll, nil)
	lease := r.grant(0)
	eventually(t, "the end is committed", func() bool { return lease.offset(0) == 12 })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if want := []int64{0, 1, 2, 3, 9}; !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
}

func TestOffsetOutOfRange(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		start     Start
		committed int64
		to        int64
	}{
		"deleted":           {Earliest, 3, 6},
		"deleted, latest":   {Latest, 3, 6}, // what is still there is not lost
		"log is shorter":    {Earliest, 100, 6},
		"shorter, latest":   {Latest, 100, 6}, // nothing tells what of it was read
		"deleted to begin":  {Earliest, 0, 6},
		"one was too early": {Earliest, 5, 6},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 1)
			produce(t, c, 0, requests(1, 10)...)
			if err := storeOffsets(c, at(0, test.committed)); err != nil {
				t.Fatal(err)
			}
			if err := c.DeleteRecords(testTopic, 0, 6); err != nil {
				t.Fatal(err)
			}
			r := start(t, c, answerAll, func(cfg *Config) { cfg.Start = test.start })
			lease := r.grant(0)
			eventually(t, "the end is committed", func() bool { return lease.offset(0) == 10 })
			got := r.delivery.offsets(0)
			slices.Sort(got)
			if want := sequence(test.to, 10); !slices.Equal(got, want) {
				t.Errorf("handled %v, want %v", got, want)
			}
			if _, _, jumps := r.observer.seen(); !slices.Equal(jumps, []jump{{0, test.committed, test.to}}) {
				t.Errorf("jumps %v, want one from %d to %d", jumps, test.committed, test.to)
			}
		})
	}
}

// Records that are deleted while others are under way: those are finished first, then it goes on behind the hole.
func TestRecordsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	r := start(t, c, answerAll, nil)
	r.delivery.setHold(true)
	lease := r.grant(0)
	produce(t, c, 0, requests(1, 5)...)
	eventually(t, "5 records are under way", func() bool { return r.delivery.count() == 5 })
	unfetched := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: -1})
	produce(t, c, 0, requests(6, 5)...)
	if err := c.DeleteRecords(testTopic, 0, 8); err != nil {
		t.Fatal(err)
	}
	unfetched.Remove()
	eventually(t, "the hole is noticed", func() bool { _, _, jumps := r.observer.seen(); return len(jumps) == 1 })
	if offset := lease.offset(0); offset > 0 {
		t.Errorf("offset %d is committed while record 0 is under way", offset)
	}
	r.delivery.setHold(false)
	r.delivery.release()
	eventually(t, "the end is committed", func() bool { return lease.offset(0) == 10 })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if want := []int64{0, 1, 2, 3, 4, 8, 9}; !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
}

// Only the contiguous prefix of what is acknowledged is ever committed, and all of it.
func TestCommitsThePrefix(t *testing.T) {
	t.Parallel()
	const n = 30
	c := broker(t, 1)
	produce(t, c, 0, requests(1, n)...)
	var mu sync.Mutex
	acked := map[int64]bool{}
	prefix := func() int64 {
		mu.Lock()
		defer mu.Unlock()
		for next := int64(0); ; next++ {
			if !acked[next] {
				return next
			}
		}
	}
	lease := &fakeLease{before: func(offsets map[int32]kafkawire.OffsetAndMetadata) error {
		if most := prefix(); offsets[0].Offset > most {
			t.Errorf("offset %d is committed, the prefix ends at %d", offsets[0].Offset, most)
		}
		return nil
	}}
	r := start(t, c, answerAll, nil)
	r.delivery.setHold(true)
	r.grantUnder(lease, 0)
	eventually(t, "all are delivered", func() bool { return r.delivery.count() == n })
	positions, acks := r.delivery.offsets(0), r.delivery.held
	for _, i := range rand.Perm(n) {
		mu.Lock()
		acked[positions[i]] = true
		mu.Unlock()
		acks[i].Acknowledged()
		want := prefix()
		eventually(t, "the prefix is committed", func() bool { return lease.offset(0) == want })
	}
}

// A record with two messages is done when both are acknowledged.
func TestBothMessagesMustBeAcknowledged(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 1)...)
	both := func(ctx context.Context, lane *Lane) {
		for _, req := range takeAll(lane) {
			req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{}, DeadLetter: &schemas.DeadLetter{}})
		}
	}
	r := start(t, c, both, nil)
	r.delivery.setHold(true)
	lease := r.grant(0)
	eventually(t, "it is delivered", func() bool { return r.delivery.count() == 1 })
	ack := r.delivery.held[0]
	ack.Acknowledged()
	if p, _ := r.partition(0); p.Next != 0 || p.Open != 1 {
		t.Errorf("after one of two acknowledgements: %+v", p)
	}
	ack.Acknowledged()
	eventually(t, "it is committed", func() bool { return lease.offset(0) == 1 })
}

// A commit that fails is made again, even if nothing moves meanwhile.
func TestCommitIsRetried(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 3)...)
	var tries atomic.Int64
	lease := &fakeLease{before: func(offsets map[int32]kafkawire.OffsetAndMetadata) error {
		if offsets[0].Offset == 3 && tries.Add(1) <= 5 {
			return errors.New("coordinator moved")
		}
		return nil
	}}
	r := start(t, c, answerAll, nil)
	r.grantUnder(lease, 0)
	eventually(t, "it is committed", func() bool { return lease.offset(0) == 3 })
	if _, failures, _ := r.observer.seen(); failures != 5 {
		t.Errorf("%d failures were observed, want 5", failures)
	}
	if p, _ := r.partition(0); p.Lag() != 0 {
		t.Errorf("lag %d", p.Lag())
	}
}

// A grant without partitions is a place in the group too.
func TestEmptyGrant(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	r := start(t, c, answerAll, nil)
	r.grant()
	if s := r.Status(); !s.Joined || len(s.Partitions) != 0 {
		t.Errorf("status %+v", s)
	}
	r.owner.Release(nil)
	if r.Status().Joined {
		t.Error("still joined")
	}
}

func TestRunReturnsTheErrorOfTheMembership(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such group")
	c := broker(t, 1)
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	consumer := New(testConfig(), Parts{
		Offsets: wire, Fetch: wire, Gate: newFakeGate(), Observer: &fakeObserver{}, Delivery: &fakeDelivery{},
		Member: joinFunc(func(context.Context, group.Owner) error { return broken }),
	})
	began := time.Now()
	if err := consumer.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Run = %v", err)
	}
	if took := time.Since(began); took > testTimeout/2 {
		t.Errorf("Run took %v", took)
	}
}

type joinFunc func(context.Context, group.Owner) error

func (f joinFunc) Join(ctx context.Context, owner group.Owner) error { return f(ctx, owner) }
