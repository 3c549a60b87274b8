package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/kafkawire"
)

// portions is a consumer of partition 4 whose commits take no more than step offsets each.
func portions(w *fakeWriter, lease group.Lease) (*Consumer, *partition) {
	c := &Consumer{
		cfg: Config{CommitInterval: time.Hour}, delivery: ExactlyOnce{Writer: w}, obs: &fakeObserver{}, log: zerolog.Nop(),
		moved: make(chan struct{}, 1), partitions: map[int32]*partition{}, room: newRoom(100, 0, 0, func() {}),
	}
	p := newPartition(c, 4, lease, position{committed: kafkawire.OffsetAndMetadata{}})
	c.partitions[4] = p
	return c, p
}

// done finishes the records of p from an offset on.
func done(p *partition, from, n int64) {
	for offset := from; offset < from+n; offset++ {
		p.consumer.room.take(occupancy{})
		p.mu.Lock()
		it := &slot{partition: p, ticket: p.tracker.start(offset, 0)}
		p.mu.Unlock()
		p.finish(it, false)
	}
}

func (p *partition) noted() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.committed
}

// What did not fit into a commit follows at once, and only what was committed is noted.
func TestCommitGoesOnInPortions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commits := 0
		w := &fakeWriter{step: 3}
		c, p := portions(w, &fakeLease{})
		w.after = func() {
			commits++
			if noted, stands := p.noted(), w.offsets[4]; noted >= stands {
				t.Errorf("%d is noted before %d is committed", noted, stands)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done(p, 0, 10)
		go c.commitLoop(ctx)
		synctest.Wait() // no time passes
		if commits != 4 || p.noted() != 10 {
			t.Errorf("%d commits, %d is noted; want 4 and 10", commits, p.noted())
		}
		stop()
		synctest.Wait()
	})
}

// What is committed beside an error is noted, too; the rest is asked for again, not at once.
func TestPartOfACommitThatFails(t *testing.T) {
	t.Parallel()
	w := &fakeWriter{step: 3, err: errors.New("held")}
	c, p := portions(w, &fakeLease{})
	done(p, 0, 3)
	some, more := c.commit(t.Context(), c.held())
	if !some || more || p.noted() != 3 || c.refused != 1 || c.lastCommit.Load() == nil {
		t.Errorf("some %v, more %v, %d is noted, %d refused", some, more, p.noted(), c.refused)
	}
}

// The last commit goes on in portions until the drain's time is up, or the partitions are lost; at least one is tried.
func TestLastCommitInPortions(t *testing.T) {
	for name, test := range map[string]struct {
		time  time.Duration // that is left
		loses int           // the commit after which the partitions are lost
		want  int64
	}{
		"all of it":        {time.Minute, 0, 10},
		"until the time":   {25 * time.Second, 0, 9},
		"at least one":     {0, 0, 3},
		"until it is lost": {time.Minute, 2, 6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &fakeWriter{step: 3, takes: 10 * time.Second, revoked: func() {}}
				lease := &lostLease{lost: make(chan struct{})}
				commits := 0
				w.after = func() {
					if commits++; commits == test.loses {
						close(lease.lost)
					}
				}
				c, p := portions(w, lease)
				done(p, 0, 10)
				c.commitAndRevoke(t.Context(), c.held(), time.Now().Add(test.time))
				if p.noted() != test.want || !p.revoked.Load() {
					t.Errorf("%d is noted, want %d", p.noted(), test.want)
				}
			})
		})
	}
}
