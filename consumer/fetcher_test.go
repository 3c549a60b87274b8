package consumer

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/schemas"
)

// While no verdict can be had nothing is fetched: what would come could only wait.
func TestClosedGateStopsFetching(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	var fetches atomic.Int64
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true, When: func(kmsg.Request) bool {
		fetches.Add(1)
		return true
	}})
	r := start(t, c, answerAll, nil)
	lease := r.grant(0)
	// looks closes the gate, again and again, until the fetcher has looked at it n times.
	looks := func(n int64) {
		t.Helper()
		until := r.gate.asked.Load() + n
		eventually(t, "the fetcher looks at the gate", func() bool {
			r.gate.set("breaker")
			return r.gate.asked.Load() >= until
		})
	}
	for round := range 3 {
		produce(t, c, 0, requests(10*round+1, 5)...)
		eventually(t, "the records are committed", func() bool { return lease.offset(0) == int64(5*round+5) })
		looks(5) // more than once by the loop that fetches, which does not look while it does
		before := fetches.Load()
		looks(30)
		if n := fetches.Load(); n != before {
			t.Errorf("round %d: %d fetches while the gate was closed", round, n-before)
		}
		r.gate.set("")
		eventually(t, "it fetches again", func() bool { return fetches.Load() > before })
	}
}

// However quickly a partition is read, fetches keep their interval: a busy machine makes this pass, none makes it fail.
// Of two fetches in a row that bring four records or more, the second is answered an interval after what was answered
// before the first, at least: either it has waited, or the first was that slow.
func TestFetchesKeepTheirInterval(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	const n = 400
	for i := range n / 4 { // many small batches, so that a fetch cannot bring everything
		produce(t, c, 0, requests(4*i+1, 4)...)
	}
	var fetches atomic.Int64
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Count: -1, Observe: true, When: func(kmsg.Request) bool {
		fetches.Add(1)
		return true
	}})
	began := time.Now()
	r := start(t, c, answerAll, func(cfg *Config) { cfg.FetchBytes = 1000 })
	lease := r.grant(0)
	eventually(t, "the records are committed", func() bool { return lease.offset(0) == n })
	made := fetches.Load()
	if most := 2*int64(time.Since(began)/fetchInterval) + 4; made > most {
		t.Errorf("%d fetches, want %d at most", made, most)
	}
}

// Where a fetch would wake everything up for each of many requests, it brings several. Where fewer come, none waits.
func TestFetchRests(t *testing.T) {
	tests := map[string]struct {
		every   time.Duration // a record comes
		fetches int           // for a second of them, at most
		longest time.Duration // that one waits for a fetch
	}{
		"2,000 a second":          {time.Second / 2000, 1000/4 + 3, fetchInterval},
		"as many as make it rest": {time.Second / restAbove, 1000/4 + 3, fetchInterval},
		"a few less":              {time.Second/restAbove + time.Microsecond, 1000, 0},
		"300 a second":            {time.Second / 300, 300, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetches, longest := restingFor(t, test.every, int(time.Second/test.every))
				if fetches > test.fetches || longest > test.longest {
					t.Errorf("%d fetches, one record waits for %v; want %d and %v at most", fetches, longest, test.fetches,
						test.longest)
				}
			})
		})
	}
}

// restingFor has a fetch loop get so many records as they come, from a broker that answers as soon as it has one.
func restingFor(t *testing.T, every time.Duration, records int) (fetches int, longest time.Duration) {
	var l fetchLoop
	began := time.Now()
	for got := 0; got < records; fetches++ {
		l.rest(t.Context())
		l.asked = time.Now()
		first := began.Add(time.Duration(got+1) * every)
		wait.Sleep(t.Context(), time.Until(first))
		longest = max(longest, time.Since(first))
		came := int(time.Since(began)/every) - got
		l.came(came, time.Now())
		got += came
	}
	return fetches, longest
}

func TestRestEndsWithTheFetcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l, began := fetchLoop{asked: time.Now(), rests: true}, time.Now()
		if l.rest(ctx) || time.Since(began) > 0 {
			t.Errorf("it rests on for %v", time.Since(began))
		}
	})
}

// head is a handler that keeps the records of contract 1 until it is let go, and answers all others at once.
type head struct{ free chan struct{} }

func (h head) handle(ctx context.Context, lane *Lane) {
	reqs := takeAll(lane)
	if lane.Contract() == 1 {
		select {
		case <-h.free:
		case <-ctx.Done():
			return
		}
	}
	for _, req := range reqs {
		req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{}})
	}
}

// One slow record lets its partition run ahead by half of what may be answered ahead in all, and what was started by
// then, and no further, with two fetched chunks at most; other partitions do not feel it.
func TestWindow(t *testing.T) {
	t.Parallel()
	const each = 400
	c := broker(t, 2)
	for i := range each / 4 { // many small batches, so that a fetch cannot bring everything
		produce(t, c, 0, requests(4*i+1, 4)...)
	}
	produce(t, c, 1, requests(1000, each)...)
	h := head{make(chan struct{})}
	r := start(t, c, h.handle, func(cfg *Config) { cfg.RunAhead, cfg.Ahead, cfg.FetchBytes = 32, 64, 1000 })
	lease := r.grant(0, 1)
	const least, most = 1 + 64/2, 1 + 64/2 + 32/2
	eventually(t, "the other partition is done", func() bool { return lease.offset(1) == each })
	eventually(t, "it runs ahead no further", func() bool { p, _ := r.partition(0); return p.Open >= least })
	produce(t, c, 1, requests(2000, each)...) // all that, and no more of the first one
	eventually(t, "the other partition goes on", func() bool { return lease.offset(1) == 2*each })

	if n := len(r.delivery.offsets(0)); n < least-1 || n >= most {
		t.Errorf("%d records are answered behind the slow one, want %d to %d", n, least-1, most-1)
	}
	if p, _ := r.partition(0); p.Open > most || p.Next != 0 || lease.offset(0) != 0 {
		t.Errorf("status %+v, committed %d", p, lease.offset(0))
	}
	for _, p := range r.held() {
		p.mu.Lock()
		if p.id == 0 && p.fetchNext > most+3*20 { // a chunk is about 15 records here
			t.Errorf("fetched up to %d", p.fetchNext)
		}
		p.mu.Unlock()
	}
	close(h.free)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == each })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if !slices.Equal(got, sequence(0, each)) {
		t.Errorf("%d records were answered, want each of %d once", len(got), each)
	}
	// The observer hears of an outcome after it has counted for the offset.
	eventually(t, "all are answered", func() bool { answered, _, _ := r.observer.seen(); return answered == 3*each })
}

// No fetch error loses or repeats a record.
func TestFetchErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]kfake.Fault{
		"partition": {Topic: testTopic, Partitions: []int32{0}, Err: kerr.NotLeaderForPartition},
		"storage":   {Topic: testTopic, Err: kerr.KafkaStorageError},
		"unknown":   {Topic: testTopic, Err: kerr.UnknownServerError},
		"top level": {TopLevel: true, Err: kerr.UnknownServerError},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 2)
			fault.Keys, fault.Count = []kmsg.Key{kmsg.Fetch}, 3
			r := start(t, c, answerAll, nil)
			lease := r.grant(0, 1)
			for round := range int64(3) {
				handle := c.Fault(fault)
				produce(t, c, 0, requests(1, 10)...)
				produce(t, c, 1, requests(20, 10)...)
				eventually(t, "all is committed", func() bool {
					return lease.offset(0) == 10*(round+1) && lease.offset(1) == 10*(round+1)
				})
				handle.Remove()
			}
			for id := range int32(2) {
				got := r.delivery.offsets(id)
				slices.Sort(got)
				if !slices.Equal(got, sequence(0, 30)) {
					t.Errorf("partition %d: answered %v", id, got)
				}
			}
		})
	}
}

// A leader that moves to a broker from which nothing was fetched so far: that broker's loop must be woken.
func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	c := broker(t, 2, kfake.NumBrokers(2))
	first := c.LeaderFor(testTopic, 0)
	second := 1 - first
	if err := c.MoveTopicPartition(testTopic, 1, second); err != nil {
		t.Fatal(err)
	}
	r := start(t, c, answerAll, nil)
	lease := r.grant(0) // the other partition belongs to somebody else
	for i := range int64(6) {
		produce(t, c, 0, requests(1, 1)...)
		eventually(t, "the record is committed", func() bool { return lease.offset(0) == i+1 })
		first, second = second, first
		if err := c.MoveTopicPartition(testTopic, 0, first); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.delivery.offsets(0); !slices.Equal(got, sequence(0, 6)) {
		t.Errorf("answered %v", got)
	}
}
