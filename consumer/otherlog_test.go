package consumer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/kafkawire"
)

// makeAgain deletes the topic and makes one of the same name.
func makeAgain(t *testing.T, c *kfake.Cluster, partitions int32) {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 5, []string{testTopic}
	resp, err := wire.Any(t.Context(), del)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.CreateTopic(t.Context(), kafkawire.Topic{Name: testTopic, Partitions: int(partitions),
		ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
}

// aboutTheLog checks that each commit since the first n is about the log that the topic has now.
func aboutTheLog(t *testing.T, r *rig, e *fakeLease, n int) {
	t.Helper()
	id, err := r.offsets.TopicID(t.Context(), testTopic)
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, offsets := range e.history[n:] {
		for partition, o := range offsets {
			if n, err := decodeNote(o.Offset, o.Metadata); err != nil || n.log.topic != id {
				t.Errorf("partition %d: committed %d about %v, error %v; the topic is %v", partition, o.Offset, n.log, err, id)
			}
		}
	}
}

// A topic that is deleted and made again while we read it: each request in the new one is answered, and nothing of the
// old one is committed to it, whether its records were answered, in flight, or fetched and not started.
func TestTopicMadeAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fleeting, paused, held bool
		start                  Start
	}{
		"at least once": {}, "exactly once": {fleeting: true},
		"at least once, breaker open": {paused: true}, "exactly once, breaker open": {fleeting: true, paused: true},
		"at least once, in flight": {held: true}, "exactly once, in flight": {fleeting: true, held: true},
		"latest": {start: Latest}, "latest, in flight while the breaker is open": {start: Latest, held: true, paused: true},
	} {
		t.Run(name, func(t *testing.T) {
			const before, after = 100, 400
			c := broker(t, 1, kfake.NumBrokers(1))
			var holding atomic.Bool
			free := make(chan struct{})
			handler := func(ctx context.Context, lane *Lane) {
				if holding.Load() {
					select {
					case <-free:
					case <-ctx.Done():
						return
					}
				}
				answerAll(ctx, lane)
			}
			r := startWith(t, c, handler, func(cfg *Config) {
				cfg.Start = Earliest
				if test.start != 0 {
					cfg.Start = test.start
				}
			}, &fakeDelivery{fleeting: test.fleeting})
			lease := r.grant(0)
			eventually(t, "the start is committed", func() bool { return lease.commits() > 0 })
			produce(t, c, 0, requests(1, before)...)
			eventually(t, "the first ones are committed", func() bool { return lease.offset(0) == before })
			if test.held {
				holding.Store(true)
				produce(t, c, 0, requests(5000, 50)...)
				eventually(t, "some are in flight", func() bool { p, _ := r.partition(0); return p.Open >= 8 })
			}
			if test.paused {
				r.gate.set("breaker")
			}
			answered := r.delivery.count()
			makeAgain(t, c, 1)
			commits := lease.commits()
			produce(t, c, 0, requests(1000, after)...)
			if test.held {
				eventually(t, "the old log is left", func() bool { _, _, jumps := r.observer.seen(); return len(jumps) == 1 })
				holding.Store(false)
				close(free)
			}
			if test.paused {
				r.gate.set("")
			}
			eventually(t, "all of the new ones are committed", func() bool { return lease.offset(0) == after })
			got := r.delivery.offsets(0)[answered:]
			slices.Sort(got)
			if !slices.Equal(got, sequence(0, after)) {
				t.Errorf("%d answers of %d: %v", len(got), after, got)
			}
			if _, _, jumps := r.observer.seen(); len(jumps) != 1 || jumps[0].to != 0 {
				t.Errorf("jumps %v", jumps)
			}
			aboutTheLog(t, r, lease, commits)
		})
	}
}

// Partitions that are given back after their topic was made again leave no commit in the new one that its next owner
// would take for its own, whatever group protocol they came by.
func TestReleaseAfterTheTopicWasMadeAgain(t *testing.T) {
	t.Parallel()
	c := broker(t, 1, kfake.NumBrokers(1))
	produce(t, c, 0, requests(1, 100)...)
	r := start(t, c, answerAll, nil)
	r.gate.set("breaker")
	lease := brokerLease(c)
	r.gate.set("")
	r.owner.Grant(context.Background(), lease, []int32{0})
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 100 })
	commits := lease.commits()
	r.gate.set("breaker")
	makeAgain(t, c, 1)
	r.owner.Release([]int32{0})
	if n := lease.commits(); n != commits && lease.offset(0) != 0 {
		t.Errorf("the release committed %d, which had not moved", lease.offset(0))
	}
	produce(t, c, 0, requests(1000, 300)...)
	r.gate.set("")
	r.owner.Grant(context.Background(), lease, []int32{0})
	t.Cleanup(func() { r.owner.Release([]int32{0}) })
	eventually(t, "all of the new ones are committed", func() bool { return lease.offset(0) == 300 })
	if n := r.delivery.count(); n != 400 {
		t.Errorf("%d answers, want 400", n)
	}
}

// The next owner compares the topic's id with the one that the offsets were committed for.
func TestCommitsNameTheTopic(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	id, cluster := func() (logID, logID) {
		consumer := &Consumer{cfg: Config{Topic: testTopic}, wire: wire}
		log, err := consumer.identify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		other := log
		other.topic[0] ^= 1
		other.cluster++
		return log, other
	}()
	former := id
	former.topic[0] ^= 1
	for name, test := range map[string]struct {
		log    logID
		starts int64
		ahead  bool // the run is skipped
	}{
		"this one":        {id, 4, true},
		"made again":      {former, 0, false},
		"another cluster": {cluster, 4, true}, // MirrorMaker copied the commit, and the offset is right
		"not said":        {logID{}, 4, true}, // by a version before this one, or an operator
	} {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 1)
			produce(t, c, 0, requests(1, 10)...)
			r := start(t, c, answerAll, nil)
			log := test.log
			if now, err := r.identify(t.Context()); err != nil {
				t.Fatal(err)
			} else if log == id {
				log = now
			} else if log == former {
				log.cluster = now.cluster
			}
			metadata := must(encodeNote(log, kafkawire.NoEpoch, 4, slices.Values([]Run{{6, 8}}), aheadLimit))
			if err := storeOffsets(c, map[int32]kafkawire.OffsetAndMetadata{0: {Offset: 4, Metadata: metadata}}); err != nil {
				t.Fatal(err)
			}
			lease := r.grant(0)
			eventually(t, "all is committed", func() bool { return lease.offset(0) == 10 })
			want := sequence(test.starts, 10)
			if test.ahead {
				want = slices.DeleteFunc(want, func(o int64) bool { return o == 6 || o == 7 })
			}
			got := r.delivery.offsets(0)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("answered %v, want %v", got, want)
			}
			_, _, jumps := r.observer.seen()
			if again := test.log == former; again != slices.Equal(jumps, []jump{{0, 4, 0}}) || !again && len(jumps) > 0 {
				t.Errorf("jumps %v", jumps)
			}
		})
	}
}

// An offset above the end of the log that was committed with an epoch: the log has lost its tail, and reading goes on
// where its records end, not at the beginning.
func TestCommittedAboveTheEnd(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 10)...)
	if err := storeOffsets(c, map[int32]kafkawire.OffsetAndMetadata{0: {Offset: 15, Epoch: 0}}); err != nil {
		t.Fatal(err)
	}
	r := start(t, c, answerAll, nil)
	lease := r.grant(0)
	eventually(t, "the committed offset has moved back", func() bool { return lease.offset(0) == 10 })
	produce(t, c, 0, requests(100, 20)...)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 30 })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if !slices.Equal(got, sequence(10, 30)) {
		t.Errorf("answered %v", got)
	}
	if _, _, jumps := r.observer.seen(); !slices.Equal(jumps, []jump{{0, 15, 10}}) {
		t.Errorf("jumps %v", jumps)
	}
}

// storeNote commits offset 4 of partition 0, as a former owner that has answered these runs, too.
func storeNote(t *testing.T, c *kfake.Cluster, log logID, epoch int32, runs []Run) {
	t.Helper()
	metadata := must(encodeNote(log, epoch, 4, slices.Values(runs), aheadLimit))
	if err := storeOffsets(c, map[int32]kafkawire.OffsetAndMetadata{0: {Offset: 4, Metadata: metadata}}); err != nil {
		t.Fatal(err)
	}
}

// What a former owner has answered above its offset says nothing about what is there since the log lost its end: then a
// later leader wrote it.
func TestAnsweredAboveTheEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		epoch   int32 // of the note
		runs    []Run
		cluster uint32 // another one than that of the log
		again   []int64
	}{
		"an end that was lost":        {epoch: 0, runs: []Run{{6, 8}, {12, 15}}, again: sequence(12, 15)},
		"one inside of a run":         {epoch: 0, runs: []Run{{6, 12}}, again: sequence(10, 12)},
		"one that a run touches":      {epoch: 0, runs: []Run{{6, 8}, {10, 15}}, again: sequence(10, 15)},
		"nothing was lost":            {epoch: 1, runs: []Run{{6, 8}, {12, 15}}},
		"the note has no epoch":       {epoch: kafkawire.NoEpoch, runs: []Run{{6, 8}, {12, 15}}},
		"a note of another cluster's": {epoch: 0, runs: []Run{{6, 8}, {12, 15}}, cluster: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 1)
			produce(t, c, 0, requests(1, 10)...)
			r := start(t, c, answerAll, nil)
			log, err := r.identify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			log.cluster ^= test.cluster
			storeNote(t, c, log, test.epoch, test.runs)
			lease := r.grant(0)
			reached := int64(10) // all that is there; a run that begins at that is passed by before its records come
			for _, run := range test.runs {
				if run.From <= reached {
					reached = max(reached, run.To)
				}
			}
			eventually(t, "what is there is answered", func() bool { return lease.offset(0) == reached })
			if err := c.MoveTopicPartition(testTopic, 0, (c.LeaderFor(testTopic, 0)+1)%3); err != nil {
				t.Fatal(err)
			}
			produce(t, c, 0, requests(100, 10)...)
			answered := func(o int64) bool {
				return slices.ContainsFunc(test.runs, func(run Run) bool { return run.From <= o && o < run.To })
			}
			want := slices.DeleteFunc(sequence(4, 20), func(o int64) bool {
				return answered(o) && !slices.Contains(test.again, o)
			})
			eventually(t, "all is committed", func() bool {
				return lease.offset(0) == 20 && r.delivery.count() >= len(want)
			})
			got := r.delivery.offsets(0)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("answered %v, want %v", got, want)
			}
		})
	}
}

// A later leader's large batch is decoded in steps, and none of them takes back what was answered of it.
func TestLaterEpochInSteps(t *testing.T) {
	t.Parallel()
	const n = 5000 // many times decodeStep
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 10)...)
	r := start(t, c, answerAll, nil)
	log, err := r.identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	storeNote(t, c, log, 0, []Run{{6, 8}})
	if err := c.MoveTopicPartition(testTopic, 0, (c.LeaderFor(testTopic, 0)+1)%3); err != nil {
		t.Fatal(err)
	}
	produceBatch(t, c, 0, batchOf(requests(100, n)))
	lease := r.grant(0)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == n+10 })
	lease.mu.Lock()
	defer lease.mu.Unlock()
	if !slices.IsSortedFunc(lease.history, func(a, b map[int32]kafkawire.OffsetAndMetadata) int {
		return cmp.Compare(a[0].Offset, b[0].Offset)
	}) {
		t.Errorf("the committed offset moved back: %v", lease.history)
	}
	if answered := r.delivery.count(); answered != n+4 {
		t.Errorf("%d answers, want %d", answered, n+4)
	}
}

// The log has lost its tail behind us while records below and above the cut are in flight: what is above is forgotten,
// what is below and not durable is done, and nothing below twice unless it must be.
func TestTailLost(t *testing.T) {
	t.Parallel()
	for name, fleeting := range map[string]bool{"at least once": false, "exactly once": true} {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 1)
			produce(t, c, 0, requests(2, 5)...)
			produce(t, c, 0, requests(1, 1)...) // offset 5 waits
			produce(t, c, 0, requests(7, 14)...)
			h := head{make(chan struct{})}
			r := startWith(t, c, h.handle, nil, &fakeDelivery{fleeting: fleeting})
			lease := r.grant(0)
			eventually(t, "all but one are answered", func() bool { return r.delivery.count() == 19 && lease.offset(0) == 5 })
			p := r.held()[0]
			eventually(t, "all is read", func() bool { from, _ := p.wanted(); return from.Offset == 20 })
			r.gate.set("breaker") // or the rest would be there at once
			eventually(t, "the log is followed", func() bool {
				_ = r.diverged(p, 20, kafkawire.EpochEnd{Epoch: 0, End: 12})
				return r.held()[0] != p
			})
			q := r.held()[0]
			if from, _ := q.wanted(); from.Offset != 5 {
				t.Errorf("reads on from %d, want 5", from.Offset)
			}
			q.mu.Lock()
			ahead := slices.Clone(q.tracker.ahead)
			q.mu.Unlock()
			if want := []Run{{6, 12}}; !fleeting && !slices.Equal(ahead, want) || fleeting && len(ahead) > 0 {
				t.Errorf("%v is known to be answered", ahead)
			}
			close(h.free)
			r.gate.set("")
			eventually(t, "all is committed", func() bool { return lease.offset(0) == 20 })
			again := 9 // 5 and 12 to 19
			if fleeting {
				again = 15
			}
			eventually(t, "the others are answered", func() bool { return r.delivery.count() == 19+again })
			if _, _, jumps := r.observer.seen(); !slices.Equal(jumps, []jump{{0, 20, 12}}) {
				t.Errorf("jumps %v", jumps)
			}
		})
	}
}

// The log has lost its tail, and whether the last commit was made is not known. It was, and its requests hear of it
// before the next one fails: they are not answered again.
func TestTailLostInDoubt(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 20)...)
	r := startWith(t, c, answerAll, nil, &fakeDelivery{fleeting: true})
	r.delivery.doubt.Store(true)
	var refused atomic.Int32
	lease := &fakeLease{before: func(map[int32]kafkawire.OffsetAndMetadata) error {
		if r.delivery.doubt.Load() || refused.Load() > 0 {
			refused.Add(1)
			return kerr.RequestTimedOut
		}
		return nil
	}}
	r.grantUnder(lease, 0)
	eventually(t, "all are answered and none is committed",
		func() bool { return r.delivery.count() == 20 && refused.Load() > 0 })
	p := r.held()[0]
	end := kafkawire.EpochEnd{Epoch: 0, End: 12}
	if err := r.diverged(p, 20, end); !errors.Is(err, errInDoubt) || r.held()[0] != p || p.revoked.Load() {
		t.Fatalf("in doubt, it goes on in the other log: %v", err)
	}
	r.delivery.committed(Offsets{0: {Offset: 8}})
	r.delivery.doubt.Store(false)
	r.gate.set("breaker") // or the rest would be there at once
	if err := r.diverged(p, 20, end); err != nil {
		t.Fatal(err)
	}
	if from, _ := r.held()[0].wanted(); from.Offset != 8 {
		t.Errorf("reads on from %d, want 8", from.Offset)
	}
	refused.Store(-1 << 20)
	r.gate.set("")
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 20 })
	got := r.delivery.offsets(0)[20:]
	slices.Sort(got) // their contracts differ
	if !slices.Equal(got, sequence(8, 20)) {
		t.Errorf("answered again: %v", got)
	}
}

// What was read is given back and followed at the same time: each partition has one owner in the end, and none is left
// behind.
func TestReleaseWhileTheLogChanges(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 20)...)
	r := start(t, c, answerAll, func(cfg *Config) { cfg.CommitInterval = time.Millisecond })
	for range 50 {
		lease := brokerLease(c)
		r.owner.Grant(context.Background(), lease, []int32{0})
		p := r.held()[0]
		moved := make(chan struct{})
		go func() {
			defer close(moved)
			_ = r.moveBack(p, 20, 0, "test")
		}()
		r.owner.Release([]int32{0})
		<-moved
		if n := len(r.held()); n != 0 {
			t.Fatalf("%d partitions are left", n)
		}
	}
}

func TestEpochs(t *testing.T) {
	t.Parallel()
	e := epochs{{From: 10, Epoch: 3}}
	e = e.add([]kafkawire.EpochStart{{From: 10, Epoch: 3}, {From: 20, Epoch: 5}}).
		add([]kafkawire.EpochStart{{From: 25, Epoch: 5}, {From: 30, Epoch: 7}})
	for offset, want := range map[int64]int32{5: 3, 10: 3, 20: 3, 21: 5, 30: 5, 31: 7, 99: 7} {
		if got := e.at(offset); got != want {
			t.Errorf("epoch %d before offset %d, want %d", got, offset, want)
		}
	}
	if got := e.trim(21); len(got) != 2 || got.at(21) != 5 || got.at(40) != 7 {
		t.Errorf("trimmed to %v", got)
	}
	for _, test := range []struct {
		end  kafkawire.EpochEnd
		want int64
	}{
		{kafkawire.EpochEnd{Epoch: 7, End: 35}, 35},
		{kafkawire.EpochEnd{Epoch: 5, End: 28}, 28},
		{kafkawire.EpochEnd{Epoch: 5, End: 90}, 30}, // its records of epoch 5 behind 30 are not those that we read
		{kafkawire.EpochEnd{Epoch: 4, End: 90}, 20},
		{kafkawire.EpochEnd{Epoch: 7, End: 90}, 40},
	} {
		if got := e.divergence(40, test.end); got != test.want {
			t.Errorf("%v: parts at %d, want %d", test.end, got, test.want)
		}
	}
}

// Who committed an offset has answered the records below it in the same log, and none in another one.
func TestCoveredBy(t *testing.T) {
	t.Parallel()
	here := logID{topic: kafkawire.TopicID{1}, cluster: 7}
	note := func(log logID, offset int64) string {
		text, _ := encodeNote(log, kafkawire.NoEpoch, offset, none, aheadLimit)
		return text
	}
	tests := map[string]struct {
		offset   int64
		epoch    int32
		metadata string
		want     bool
	}{
		"the next offset":                    {11, 2, "", true},
		"under a later epoch":                {50, 3, "", true},
		"under an epoch that is not known":   {50, kafkawire.NoEpoch, "", true},
		"the record's own offset":            {10, 2, "", false},
		"an end that was lost":               {50, 1, "", false},
		"an end that was lost, in this note": {50, 1, note(here, 50), false},
		"this topic":                         {50, 2, note(here, 50), true},
		"a former topic":                     {50, 2, note(logID{topic: kafkawire.TopicID{2}, cluster: 7}, 50), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &slot{partition: &partition{log: here}}
			s.req.Record.Offset, s.req.Record.Log.LeaderEpoch = 10, 2
			o := kafkawire.OffsetAndMetadata{Offset: test.offset, Epoch: test.epoch, Metadata: test.metadata}
			if got := s.CoveredBy(o); got != test.want {
				t.Errorf("%t", got)
			}
		})
	}
}
