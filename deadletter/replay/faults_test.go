package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/schemas"
)

// steps are the requests of a replay. The first ones are made when it fences the one before, the others in each
// transaction.
var steps = []struct {
	key   kmsg.Key
	topic string // "": any
	fence bool
}{
	{kmsg.InitProducerID, "", true}, {kmsg.ListOffsets, "ledger", true}, {kmsg.Fetch, "ledger", true},
	{kmsg.AddPartitionsToTxn, "", false}, {kmsg.Produce, "requests", false}, {kmsg.Produce, "ledger", false},
	{kmsg.EndTxn, "", false},
}

// shortTimeouts makes a replay that does not wait long after an error.
func (b *topics) shortTimeouts(name string) *Run {
	b.Helper()
	r := b.mustRun(name)
	r.pause = time.Millisecond
	return r
}

// Every request of a replay, answered in error: what passes is not noticed. After what does not, nothing has been
// replayed that the ledger does not have, and the next run goes on.
func TestReplayAnswersInError(t *testing.T) {
	t.Parallel()
	passing := []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress,
		kerr.RequestTimedOut,
		kerr.ConcurrentTransactions, kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.NotEnoughReplicas,
		kerr.NotLeaderForPartition}
	failing := map[*kerr.Error]string{ // as kafka-go calls them
		kerr.InvalidTxnState: "Invalid Transaction State", kerr.InvalidProducerIDMapping: "Invalid Producer ID Mapping",
		kerr.TransactionalIDAuthorizationFailed: "Transactional ID Authorization Failed",
		kerr.TopicAuthorizationFailed:           "Topic Authorization Failed", kerr.UnknownServerError: "Unknown",
	}
	rivals := []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch}
	for _, step := range steps {
		t.Run(kmsg.NameForKey(int16(step.key))+step.topic, func(t *testing.T) {
			t.Parallel()
			answers := slices.Clone(passing)
			switch {
			case step.fence && step.topic != "": // a reader's pauses are long
				answers = answers[len(answers)-2:]
			case step.fence: // a run that fences is not fenced itself, whatever it is told
				answers = append(answers, rivals...)
			}
			passes := len(answers)
			answers = slices.AppendSeq(answers, maps.Keys(failing))
			if !step.fence {
				answers = append(answers, rivals...)
			}
			b, c, letters := onCluster(t, 3*len(answers)+3)
			r := b.shortTimeouts("first")
			b.mustPut(r, letters[:3], 3, 3)
			for i, answer := range answers {
				chunk := letters[3*i+3 : 3*i+6]
				r.ready = !step.fence
				fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{step.key}, Topic: step.topic, Err: answer, Count: 1})
				replayed, err := r.Put(t.Context(), prepare(r, chunk))
				if fault.Hits() != 1 || (err == nil) != (i < passes) {
					t.Fatalf("%s: error %v, with %d faults", answer.Message, err, fault.Hits())
				}
				if err != nil {
					rival := slices.Contains(rivals, answer)
					doubt := step.key == kmsg.EndTxn && !rival
					if errors.Is(err, ErrFenced) != rival || !strings.Contains(err.Error(), failing[answer]) ||
						strings.Contains(err.Error(), "the history will say") != doubt {
						t.Errorf("%s: error %v", answer.Message, err)
					}
					r = b.shortTimeouts(fmt.Sprint("after ", answer.Message))
					again, err := r.Put(t.Context(), prepare(r, chunk))
					if replayed = append(replayed, again...); err != nil {
						t.Fatal(err)
					}
				}
				if len(replayed) != 3 {
					t.Errorf("%s: %d replayed", answer.Message, len(replayed))
				}
			}
			b.check(c, letters)
		})
	}
}

// An answer is lost after its request was applied, or the request itself, at every step: the run goes on, replays each
// letter once, and knows where it stands.
func TestReplayLosses(t *testing.T) {
	t.Parallel()
	for _, step := range steps {
		for _, applied := range []bool{true, false} {
			if step.topic == "requests" && !applied {
				continue // the same as that of the ledger
			}
			t.Run(fmt.Sprintf("%s%s applied %t", kmsg.NameForKey(int16(step.key)), step.topic, applied), func(t *testing.T) {
				t.Parallel()
				var lose atomic.Int32
				var opts []kfake.Opt
				if applied {
					opts = append(opts, tap(func(key kmsg.Key) bool { return key == step.key && lose.Add(-1) == 0 }))
				}
				b, c, letters := onCluster(t, 30, opts...)
				if !applied {
					c.cut(step.key, func() bool { return lose.Add(-1) == 0 })
				}
				r := b.shortTimeouts("one")
				b.mustPut(r, letters[:10], 10, 10)
				r.ready = !step.fence
				lose.Store(1)
				if step.key == kmsg.Produce && step.topic == "ledger" {
					lose.Store(2) // the request before is that for the request topic
				}
				replayed, err := put(t.Context(), r, letters[10:], 10)
				if err != nil || len(replayed) != 20 || lose.Load() > 0 {
					t.Fatalf("%d replayed, error %v; %d to lose", len(replayed), err, lose.Load())
				}
				b.check(c, letters)
				stand := map[string]schemas.Position{}
				for _, m := range c.ReadAll(t, "requests") {
					stand[string(m.Value)] = schemas.Position{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset}
				}
				for _, a := range replayed {
					if at := stand[string(a.Letter.Value)]; at != a.Request {
						t.Errorf("%s stands at %v, not at %v", a.Letter.Value, at, a.Request)
					}
				}
			})
		}
	}
}

// No broker says how the last transaction ended within the timeout: the error tells so, and the next run knows.
func TestReplayUnknownEnd(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprint("applied ", applied), func(t *testing.T) {
			t.Parallel()
			var silent atomic.Bool
			b, c, all := onCluster(t, 21, tap(func(key kmsg.Key) bool { return silent.Load() && key == kmsg.EndTxn }))
			letters, last := all[:20], all[20:]
			c.cut(kmsg.InitProducerID, silent.Load)
			c.cut(kmsg.EndTxn, func() bool { return silent.Load() && !applied })
			r := b.shortTimeouts("one")
			silent.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			replayed, err := r.Put(ctx, prepare(r, letters[:10]))
			if err == nil || len(replayed) > 0 || !strings.Contains(err.Error(),
				"whether the last 10 were replayed, the history will say") {
				t.Errorf("%d replayed, error %v", len(replayed), err)
			}
			silent.Store(false)
			left := 20
			if applied {
				left = 10
			}
			b.mustPut(b.shortTimeouts("two"), letters, 7, left)
			b.check(c, letters)
			// The one before finds out too.
			if replayed, err := r.Put(t.Context(), prepare(r, letters[:10])); err != nil || applied != (len(replayed) == 10) {
				t.Errorf("%d replayed, error %v", len(replayed), err)
			}
			b.check(c, letters)
			// Now that it knows, an error is only what it says.
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.UnknownServerError, Count: 1})
			if _, err := r.Put(t.Context(), prepare(r, last)); err == nil || strings.Contains(err.Error(), "history") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Connections break before a request is applied and after, brokers answer in error, runs are cut off, killed within a
// transaction and overtaken by others: at the end each letter is on the request topic once, where the ledger says.
func TestReplayUnderFire(t *testing.T) {
	t.Parallel()
	errs := []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.UnknownServerError, kerr.NotEnoughReplicas,
		kerr.InvalidTxnState, kerr.ConcurrentTransactions, kerr.NotCoordinator}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var faulty atomic.Bool
			roll := func() bool { return faulty.Load() && rand.IntN(100) < 3 }
			b, c, letters := onCluster(t, 200, tap(func(kmsg.Key) bool { return roll() }))
			c.cut(-1, roll)
			random := rand.New(rand.NewPCG(seed, 1)) // of the run; what is lost, when, is anybody's guess
			var r *Run
			at, runs, rounds, failures := 0, 0, 0, 0
			var faults []*kfake.FaultHandle
			next := func() []*deadletter.Letter {
				n := min(1+random.IntN(25), len(letters)-at)
				return letters[at : at+n]
			}
			for at < len(letters) {
				rounds++
				faulty.Store(random.IntN(4) > 0)
				// It may be cut off anywhere; on a busy machine 300 ms may be too few for a run to begin.
				timeout := time.Duration(1+random.IntN(300+20*failures)) * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				if r == nil {
					runs++
					var err error
					if r, err = b.run(ctx, fmt.Sprint("run ", runs)); err != nil {
						r = nil
						failures++
						cancel()
						continue
					}
					r.pause = time.Millisecond
				}
				switch rounds % 7 {
				case 1, 4:
					step := steps[random.IntN(len(steps))]
					fault := kfake.Fault{Keys: []kmsg.Key{step.key}, Topic: step.topic, Err: errs[random.IntN(len(errs))], Count: 1}
					faults = append(faults, c.Fault(fault))
				case 2: // killed within a transaction
					_ = r.fill(ctx, prepare(r, next()))
					r, failures = nil, failures+1
				case 5: // overtaken
					if rival, err := b.run(ctx, fmt.Sprint("rival ", at)); err == nil {
						_, _ = rival.Put(ctx, prepare(rival, next()))
					}
				}
				if r != nil {
					chunk := next()
					if _, err := r.Put(ctx, prepare(r, chunk)); err == nil {
						at += len(chunk)
					} else {
						r, failures = nil, failures+1
					}
				}
				cancel()
			}
			faulty.Store(false)
			for _, f := range faults {
				f.Remove()
			}
			b.mustPut(b.shortTimeouts("last"), letters, 50, 0)
			b.check(c, letters)
			if failures == 0 {
				t.Error("nothing failed: the test proves nothing")
			}
			t.Logf("%d runs, %d failures", runs, failures)
		})
	}
}
