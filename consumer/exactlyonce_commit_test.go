package consumer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/kafkawire"
)

// What is answered and not committed may be answered again by somebody else: it does not count yet.
func TestExactlyOnceCountsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	c := broker(t, 1, kfake.SeedTopics(1, "results", "deadletters"))
	const n = 20 // less than the window
	produce(t, c, 0, requests(1, n)...)
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
	}, nil)
	eventually(t, "all others are answered", func() bool {
		p := s.Status().Partitions
		return len(p) == 1 && p[0].Fetched == n && s.Status().InFlight == 1 && s.Status().LanesReady == 0
	})
	if answered, _, _ := s.observer.seen(); answered != 0 {
		t.Errorf("%d are counted before any commit", answered)
	}
	close(free)
	eventually(t, "all are counted", func() bool { answered, _, _ := s.observer.seen(); return answered == n })
	s.stop()
	if answered, _, _ := s.observer.seen(); answered != n {
		t.Errorf("%d are counted of %d", answered, n)
	}
}

// lostLease is one whose partitions the group has given to others.
type lostLease struct {
	fakeLease
	lost chan struct{}
}

func (e *lostLease) Lost() <-chan struct{} { return e.lost }

// Nothing is committed of partitions that the group has given to others; it would be refused, in a transaction for
// nothing.
func TestLostPartitionsAreNotCommitted(t *testing.T) {
	t.Parallel()
	revoked := 0
	w := &fakeWriter{revoked: func() { revoked++ }}
	obs := &fakeObserver{}
	c := &Consumer{delivery: ExactlyOnce{Writer: w}, obs: obs}
	lost := &lostLease{lost: make(chan struct{})}
	p := newPartition(c, 4, lost, position{start: 11})
	if c.commit(t.Context(), []*partition{p}); w.offsets[4] != 11 {
		t.Fatalf("committed %v while it is held", w.offsets)
	}
	w.offsets = nil
	close(lost.lost)
	if some, more := c.commit(t.Context(), []*partition{p}); some || more || w.offsets != nil {
		t.Errorf("committed %v after the loss", w.offsets)
	}
	if c.commitAndRevoke(t.Context(), []*partition{p}, time.Now()); w.offsets != nil || revoked != 1 || !p.revoked.Load() {
		t.Errorf("committed %v, revoked %d times", w.offsets, revoked)
	}
}

// Outcomes that are not seen before they are committed do not wait for the interval if there was no commit for so long,
// and those behind them do.
func TestExactlyOnceCommitsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{}
		c := &Consumer{
			cfg: Config{CommitInterval: time.Hour}, delivery: ExactlyOnce{Writer: w}, obs: &fakeObserver{},
			moved: make(chan struct{}, 1), partitions: map[int32]*partition{}, room: newRoom(10, 0, 0, func() {}),
		}
		p := newPartition(c, 4, &fakeLease{}, position{committed: kafkawire.OffsetAndMetadata{}})
		c.partitions[4] = p
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.commitLoop(ctx)
		}()
		offset := int64(0)
		finish := func(after time.Duration, want int64) {
			t.Helper()
			<-time.After(after)
			p.consumer.room.take(occupancy{})
			p.mu.Lock()
			it := &slot{partition: p, ticket: p.tracker.start(offset, 0)}
			p.mu.Unlock()
			p.finish(it, false)
			offset++
			synctest.Wait()
			c.commitMu.Lock()
			defer c.commitMu.Unlock()
			if w.offsets[4] != want {
				t.Errorf("offset %d is committed when %d are finished, want %d", w.offsets[4], offset, want)
			}
		}
		finish(150*time.Minute, 1)
		finish(time.Minute, 1)
		finish(30*time.Minute, 1)
		finish(30*time.Minute, 3) // the interval is over; what is finished just now waits for the next
		finish(2*time.Hour, 5)
		stop()
		<-done
	})
}
