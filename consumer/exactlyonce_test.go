package consumer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

// fakeWriter is a TransactionWriter that remembers.
type fakeWriter struct {
	pending []*inflight.Request
	offsets map[int32]int64
	step    int64         // offsets that one commit can take; 0: all
	takes   time.Duration // one commit
	after   func()        // is called after each
	member  kafkawire.Member
	revoked func()
	err     error
}

func (w *fakeWriter) Write(_ context.Context, req *inflight.Request, _ schemas.Outcome) error {
	w.pending = append(w.pending, req)
	return w.err
}

func (w *fakeWriter) Commit(_ context.Context, member func() kafkawire.Member, o Offsets) (Offsets, error) {
	before := w.offsets
	w.member, w.offsets = member(), map[int32]int64{}
	<-time.After(w.takes)
	committed := Offsets{}
	for partition, at := range o {
		if w.step > 0 {
			at.Offset = min(at.Offset, before[partition]+w.step)
		}
		w.offsets[partition], committed[partition] = at.Offset, at
	}
	if w.after != nil {
		w.after()
	}
	return committed, w.err
}

func (w *fakeWriter) Revoked() { w.revoked() }

func (w *fakeWriter) InDoubt(int32) bool { return false }

func TestExactlyOnceCommits(t *testing.T) {
	t.Parallel()
	w := &fakeWriter{}
	d := ExactlyOnce{Writer: w}
	before := Progress{Committed: 4, Next: 7, Above: slices.Values([]Run{{8, 9}})}
	if a := d.Answered(before); a.Next != 4 || len(slices.Collect(a.Above)) > 0 {
		t.Errorf("what is pending is said to be answered: %+v", a)
	}
	offsets := map[int32]kafkawire.OffsetAndMetadata{1: {Offset: 7, Metadata: "of another mode"}, 2: {Offset: 9}}
	lease := &fakeLease{}
	if done, err := d.Commit(t.Context(), lease, offsets); err != nil || !maps.Equal(done, offsets) {
		t.Fatal(done, err)
	}
	if !maps.Equal(w.offsets, map[int32]int64{1: 7, 2: 9}) || w.member != lease.Member() || lease.commits() != 0 {
		t.Errorf("committed %v as %+v, and %d without a transaction", w.offsets, w.member, lease.commits())
	}
	w.err = kafka.ProducerFenced
	if _, err := d.Commit(t.Context(), lease, offsets); !errors.Is(err, w.err) {
		t.Errorf("a transaction that fails: %v", err)
	}
	req := &inflight.Request{}
	if err := d.Deliver(t.Context(), req, schemas.Outcome{}); !errors.Is(err, w.err) ||
		!slices.Equal(w.pending, []*inflight.Request{req}) {
		t.Errorf("delivered %v: %v", w.pending, err)
	}
}

// After the last commit of partitions, what is kept for them is let go.
func TestExactlyOnceRevokes(t *testing.T) {
	t.Parallel()
	w := &fakeWriter{}
	c := &Consumer{delivery: ExactlyOnce{Writer: w}, obs: &fakeObserver{}}
	p := newPartition(c, 4, &fakeLease{}, position{start: 11})
	told := 0
	w.revoked = func() {
		told++
		if !p.revoked.Load() || w.offsets[4] != 11 {
			t.Errorf("too early: revoked %v, committed %v", p.revoked.Load(), w.offsets)
		}
	}
	c.commitAndRevoke(t.Context(), []*partition{p}, time.Now())
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// First follows the first unfinished request of the partition, Owned ends when it is lost or given back.
func TestSlots(t *testing.T) {
	t.Parallel()
	lost := make(chan struct{})
	p := &partition{tracker: newTracker(5, nil), lease: &lostLease{lost: lost}}
	var items []*slot
	for offset := int64(5); offset < 8; offset++ {
		items = append(items, &slot{partition: p, ticket: p.tracker.start(offset, 0)})
	}
	next := func() (list []bool) {
		for _, it := range items {
			list = append(list, it.First())
		}
		return list
	}
	for i, want := range [][]bool{{true, false, false}, {true, false, false}, {false, false, true}} {
		if got := next(); !slices.Equal(got, want) {
			t.Errorf("step %d: %v, want %v", i, got, want)
		}
		p.tracker.finish(items[[]int{1, 0, 2}[i]].ticket)
	}
	if !items[0].Owned() {
		t.Error("not owned")
	}
	close(lost)
	if items[0].Owned() {
		t.Error("owned although lost")
	}
	p.lease = &fakeLease{}
	p.revoked.Store(true)
	if items[0].Owned() {
		t.Error("owned although given back")
	}
}

// station is one instance that answers exactly once, with all that belongs to it but the CMS.
type station struct {
	*Consumer
	transactions *producer.Transactions
	stop         func()
	observer     *fakeObserver
}

type silentObserver struct{}

func (silentObserver) WriteFailed(string, int32, error) {}
func (silentObserver) Wrote(int)                        {}

func startStation(t *testing.T, c *kfake.Cluster, instance string, handler HandlerFunc,
	change func(*producer.TransactionConfig)) *station {
	t.Helper()
	outcomes := producer.Outcomes{Results: "results", DeadLetters: "deadletters"}
	wires := []*kafkawire.Client{
		kafkawire.NewClient(settings(c), testTopic), kafkawire.NewClient(settings(c), testTopic),
		kafkawire.NewClient(settings(c), outcomes.Topics()...),
	}
	cfg := producer.TransactionConfig{ID: "balanceq." + testGroup + "." + instance, Group: testGroup, Topic: testTopic,
		BufferBytes: 1 << 20}
	if change != nil {
		change(&cfg)
	}
	txns, err := producer.NewTransactions(t.Context(), cfg, outcomes, wires[2], zerolog.Nop(), silentObserver{})
	if err != nil {
		t.Fatal(err)
	}
	const session = 6 * time.Second
	s := &station{transactions: txns, observer: &fakeObserver{}}
	s.Consumer = New(testConfig(), Parts{
		Offsets: wires[0], Fetch: wires[1],
		Member: group.NewClassic(group.ClassicConfig{Config: group.Config{Group: testGroup, Topic: testTopic,
			RebalanceTimeout: testTimeout}, SessionTimeout: session}, wires[0], zerolog.Nop()),
		Delivery: ExactlyOnce{Writer: txns}, Handler: handler, Gate: newFakeGate(), Log: zerolog.Nop(), Observer: s.observer,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, w := range wires {
			w.Close()
		}
	})
	t.Cleanup(s.stop)
	return s
}

// answerTruly answers each request with its own source, as the processor does.
func answerTruly(ctx context.Context, lane *Lane) {
	for _, req := range takeAll(lane) {
		req.Complete(ctx, schemas.Outcome{Result: &schemas.Result{
			Outcome: schemas.OutcomeComplete, Source: req.Record.Position, ContractID: req.Request.ContractID,
			RetrievedAt: time.Now(),
		}})
	}
}

// answers are the ce_ids that a read-committed reader of franz-go has seen so far, with how often.
type answers struct {
	mu   sync.Mutex
	seen map[string]int
}

func watchAnswers(t *testing.T, c *kfake.Cluster) *answers {
	t.Helper()
	a := &answers{seen: map[string]int{}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("results"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				a.mu.Lock()
				defer a.mu.Unlock()
				for _, h := range r.Headers {
					if h.Key == schemas.HeaderEventID {
						a.seen[string(h.Value)]++
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		cl.Close()
	})
	return a
}

func (a *answers) count() (different, all int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.seen {
		all += n
	}
	return len(a.seen), all
}

// Instances come and go, transactions fail in every way: each request is answered, and a read-committed reader sees its
// answer once. The offsets stored at the end say so, too.
func TestExactlyOnceUnderFire(t *testing.T) {
	t.Parallel()
	const partitions, each = 4, 600
	c := broker(t, partitions, kfake.SeedTopics(partitions, "results", "deadletters"))
	for p := range int32(partitions) {
		produce(t, c, p, requests(int(p)*each+1, each)...)
	}
	seen := watchAnswers(t, c)
	small := func(cfg *producer.TransactionConfig) { cfg.BufferBytes = 20_000 } // it fills: about fifty results
	var first atomic.Pointer[station]
	first.Store(startStation(t, c, "a", answerTruly, small))
	startStation(t, c, "b", answerTruly, small)
	// Fenced less often than by a rival, of which TestRivalsAreTold tells.
	faults := []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerIDMapping, kerr.UnknownServerError,
		kerr.InvalidTxnState, kerr.NotEnoughReplicas}
	keys := []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn}
	for i := range 12 {
		before, _ := seen.count()
		c.Fault(kfake.Fault{Keys: []kmsg.Key{keys[i%len(keys)]}, Err: faults[i%len(faults)], Count: 1})
		eventually(t, "it goes on", func() bool { n, _ := seen.count(); return n >= min(before+40, partitions*each) })
		if i%4 == 3 { // it leaves and comes again
			first.Load().stop()
			first.Store(startStation(t, c, "a", answerTruly, small))
		}
	}
	eventually(t, "all are answered", func() bool { n, _ := seen.count(); return n == partitions*each })
	eventually(t, "all offsets are stored", func() bool {
		wire := kafkawire.NewClient(settings(c), testTopic)
		defer wire.Close()
		stored, err := wire.CommittedOffsets(t.Context(), testGroup, testTopic, []int32{0, 1, 2, 3})
		for _, o := range stored {
			if o.Offset != each {
				return false
			}
		}
		return err == nil
	})
	if different, all := seen.count(); different != partitions*each || all != different {
		t.Errorf("%d requests are answered, %d answers are seen; want %d", different, all, partitions*each)
	}
}

// A record that waits holds back the answers behind it, up to the buffer; it gets in all the same, and then all are
// seen.
func TestExactlyOnceWithAFullBuffer(t *testing.T) {
	t.Parallel()
	c := broker(t, 1, kfake.SeedTopics(1, "results", "deadletters"))
	const n = 60 // less than the window
	produce(t, c, 0, requests(1, n)...)
	seen := watchAnswers(t, c)
	free := make(chan struct{})
	s := startStation(t, c, "a", func(ctx context.Context, lane *Lane) {
		if lane.Contract() == 1 {
			select {
			case <-free:
			case <-ctx.Done():
				return
			}
		}
		answerTruly(ctx, lane)
	}, func(cfg *producer.TransactionConfig) { cfg.BufferBytes = 4000 })
	eventually(t, "the buffer is full and all workers wait", func() bool {
		return s.transactions.Status().Buffered > 3000 && s.Status().InFlight == testConfig().MaxInFlight
	})
	if different, _ := seen.count(); different != 0 {
		t.Errorf("%d answers are seen before the first", different)
	}
	close(free)
	eventually(t, "all are answered", func() bool { d, _ := seen.count(); return d == n })
	if _, all := seen.count(); all != n {
		t.Errorf("%d answers are seen", all)
	}
	// A reader may see an answer before the instance hears that it is committed.
	eventually(t, "no byte is left", func() bool { return s.transactions.Status().Buffered == 0 })
}
