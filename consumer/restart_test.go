package consumer

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/kafkawire"
)

// mortalLease stores what is committed on the broker until it dies, like the commits of a process that is killed.
func mortalLease(c *kfake.Cluster) (lease *fakeLease, die func()) {
	var dead atomic.Bool
	return &fakeLease{before: func(offsets map[int32]kafkawire.OffsetAndMetadata) error {
		if dead.Load() {
			return context.Canceled
		}
		return storeOffsets(c, offsets)
	}}, func() { dead.Store(true) }
}

// runsOf are the stretches that the partition's last commit names.
func runsOf(t *testing.T, e *fakeLease, partition int32) []Run {
	t.Helper()
	o := e.last(partition)
	runs, err := decodeAhead(o.Offset, o.Metadata)
	if err != nil {
		t.Fatalf("metadata %q of offset %d: %v", o.Metadata, o.Offset, err)
	}
	return runs
}

// One request is held for ever and a thousand behind it are answered. The next owner of the partition answers the one
// and what was answered since the last commit, which is nothing here; and so does the next but one, although the one
// before it was killed before it had read that far.
func TestOneSlowRequestRepeatsNothingBehindIt(t *testing.T) {
	t.Parallel()
	const behind = 1000
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 1+behind)...)
	h := head{make(chan struct{})}
	large := func(cfg *Config) { cfg.RunAhead = 2 * behind }
	first := start(t, c, h.handle, large)
	lease, kill := mortalLease(c)
	first.grantUnder(lease, 0)
	eventually(t, "all behind it is in a commit",
		func() bool { return slices.Equal(runsOf(t, lease, 0), []Run{{1, 1 + behind}}) })
	kill()

	produce(t, c, 0, requests(10_000, 5)...)
	second := start(t, c, h.handle, large)
	lease, kill = mortalLease(c)
	second.grantUnder(lease, 0)
	eventually(t, "what came since is in a commit, too",
		func() bool { return slices.Equal(runsOf(t, lease, 0), []Run{{1, 6 + behind}}) })
	if got := second.delivery.offsets(0); len(got) != 5 || slices.Min(got) != 1+behind {
		t.Errorf("the second owner answered %d: %v", len(got), got)
	}
	if p, _ := second.partition(0); p.Open != 6 {
		t.Errorf("%d places in the window are taken, want those of the 6 that were started", p.Open)
	}
	kill()

	third := start(t, c, answerAll, large)
	lease = brokerLease(c)
	third.grantUnder(lease, 0)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 6+behind })
	eventually(t, "the end is read", func() bool { from, _ := third.held()[0].wanted(); return from.Offset == 6+behind })
	if got := third.delivery.offsets(0); !slices.Equal(got, []int64{0}) {
		t.Errorf("the third owner answered %v, want the one that was held", got)
	}
	if runs := runsOf(t, lease, 0); len(runs) > 0 {
		t.Errorf("%v are named, though nothing is finished above the offset", runs)
	}
}

// Partitions that are given back while a request waits for a verdict: the next owner answers that one alone.
func TestReleaseNamesWhatIsFinished(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(2, 5)...)
	produce(t, c, 0, requests(1, 1)...) // waits
	produce(t, c, 0, requests(7, 3)...)
	h := head{make(chan struct{})}
	r := start(t, c, h.handle, func(cfg *Config) { cfg.CommitInterval = time.Hour }) // only Release commits
	r.owner.Grant(context.Background(), brokerLease(c), []int32{0})
	eventually(t, "eight are answered", func() bool { return r.delivery.count() == 8 })
	r.gate.set("breaker")
	r.owner.Release([]int32{0})
	r.gate.set("")
	close(h.free)
	r.owner.Grant(context.Background(), brokerLease(c), []int32{0})
	eventually(t, "the last is answered", func() bool { return r.delivery.count() >= 9 })
	r.owner.Release([]int32{0})
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if want := sequence(0, 9); !slices.Equal(got, want) {
		t.Errorf("answered %v, want each once", got)
	}
	if offset := committed(t, c, 0)[0]; offset != 9 {
		t.Errorf("committed %d", offset)
	}
}

// What was finished above the offset still is when the log's beginning was deleted, but not when the log was made
// again.
func TestFinishedAheadOfAHole(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		committed int64
		ahead     []Run
		want      []int64
	}{
		"deleted before them":  {3, []Run{{7, 8}}, []int64{6, 8, 9}},
		"deleted within them":  {3, []Run{{5, 8}}, []int64{8, 9}},
		"deleted behind them":  {2, []Run{{3, 5}}, []int64{6, 7, 8, 9}},
		"deleted up to them":   {3, []Run{{6, 8}}, []int64{8, 9}},
		"the log ends earlier": {20, []Run{{21, 24}}, sequence(6, 10)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 1)
			produce(t, c, 0, requests(1, 10)...)
			stored := kafkawire.OffsetAndMetadata{Offset: test.committed, Epoch: kafkawire.NoEpoch,
				Metadata: must(encodeAhead(test.committed, slices.Values(test.ahead), aheadLimit))}
			if err := storeOffsets(c, map[int32]kafkawire.OffsetAndMetadata{0: stored}); err != nil {
				t.Fatal(err)
			}
			if err := c.DeleteRecords(testTopic, 0, 6); err != nil {
				t.Fatal(err)
			}
			r := start(t, c, answerAll, nil)
			lease := r.grant(0)
			eventually(t, "the end is committed", func() bool { return lease.offset(0) == 10 })
			got := r.delivery.offsets(0)
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("answered %v, want %v", got, test.want)
			}
			produce(t, c, 0, requests(100, 20)...) // a log made again reaches the old offsets again
			eventually(t, "the end is committed", func() bool { return lease.offset(0) == 30 })
			if n := r.delivery.count(); n != len(test.want)+20 {
				t.Errorf("%d answers, want %d", n, len(test.want)+20)
			}
		})
	}
}

// Skipping keeps the order of a contract although its acknowledgements come in any order: what follows a request that
// is not done is answered again after it.
func TestSkippingKeepsTheOrder(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	// Offsets 0 and 2 are of contract 1, 1 and 3 of contracts of their own.
	produce(t, c, 0, slices.Concat(requests(1, 2), requests(1, 1), requests(3, 1))...)
	first := start(t, c, answerAll, func(cfg *Config) { cfg.MaxInFlight = 1 })
	first.delivery.setHold(true)
	lease, kill := mortalLease(c)
	first.grantUnder(lease, 0)
	eventually(t, "all are delivered", func() bool { return first.delivery.count() == 4 })
	for i, offset := range first.delivery.offsets(0) {
		if offset != 0 {
			first.delivery.held[i].Acknowledged()
		}
	}
	eventually(t, "what may be skipped is in a commit",
		func() bool { return slices.Equal(runsOf(t, lease, 0), []Run{{1, 2}, {3, 4}}) })
	kill()
	second := start(t, c, answerAll, nil)
	lease = brokerLease(c)
	second.grantUnder(lease, 0)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 4 })
	if got := second.delivery.offsets(0); !slices.Equal(got, []int64{0, 2}) {
		t.Errorf("answered %v, want 0 and then 2", got)
	}
}

// Many kills in a row, everything at random: nothing is lost, and what a commit named is not answered again.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	const n, healthy = 2000, 10 // from that round on nothing is held
	c := broker(t, 1)
	produce(t, c, 0, requests(1, n)...)
	answered := map[int64]int{}
	for round := 0; round <= healthy; round++ {
		h := newGateHandler()
		slow := int64(1 + 10*round) // contracts that this owner never answers
		r := start(t, c, func(ctx context.Context, lane *Lane) {
			if lane.Contract()%97 == slow%97 && round < healthy {
				h.handle(ctx, lane)
				return
			}
			answerAll(ctx, lane)
		}, func(cfg *Config) { cfg.MaxInFlight, cfg.Ahead, cfg.DrainTimeout = 64, 64, time.Millisecond })
		lease, kill := mortalLease(c)
		stored := readCommitted(t, c)
		r.owner.Grant(context.Background(), lease, []int32{0})
		eventually(t, "it has committed", func() bool {
			return stored.Offset == n || // an owner before it has come to the end
				lease.commits() > 0 && round < healthy || lease.offset(0) == n
		})
		kill()
		r.owner.Release([]int32{0})
		named, err := decodeAhead(stored.Offset, stored.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		for _, offset := range r.delivery.offsets(0) {
			answered[offset]++
			if offset < stored.Offset || slices.ContainsFunc(named,
				func(s Run) bool { return s.From <= offset && offset < s.To }) {
				t.Errorf("round %d: %d is answered again, though the commit of %d names it", round, offset, stored.Offset)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(answered)); !slices.Equal(got, sequence(0, n)) {
		t.Errorf("%d of %d are answered", len(got), n)
	}
}

// readCommitted is what the broker has for partition 0; from the beginning, if that is nothing.
func readCommitted(t *testing.T, c *kfake.Cluster) kafkawire.OffsetAndMetadata {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	stored, err := wire.CommittedOffsets(t.Context(), testGroup, testTopic, []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	if stored[0].Offset == kafkawire.NoOffset {
		return kafkawire.OffsetAndMetadata{}
	}
	return stored[0]
}
