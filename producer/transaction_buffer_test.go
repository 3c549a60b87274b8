package producer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// tight makes transactions whose buffer is full with four results.
func tight(t *testing.T) *rig {
	t.Helper()
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
	b := onEmbedded(t, cluster, nil)
	b.write(0, 10, 1)
	b.outbox.limit = 4*b.Status().Buffered + 8
	b.write(0, 11, 3)
	return b
}

// later writes from a goroutine of its own; the error comes through the channel.
func (b *rig) later(ctx context.Context, partition int32, offset int64, p *slot) chan error {
	done := make(chan error, 1)
	req, out := b.result(partition, offset)
	req.Slot = p
	go func() { done <- b.Write(ctx, req, out) }()
	return done
}

// blocked says that a write still waits although it had every opportunity.
func (b *rig) blocked(done chan error) {
	b.tb.Helper()
	for range 20 {
		b.outbox.mu.Lock()
		b.outbox.advance()
		b.outbox.mu.Unlock()
		select {
		case err := <-done:
			b.tb.Fatalf("it was let in (%v)", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// A full buffer holds outcomes back until a commit makes room.
func TestTransactionBufferBlocks(t *testing.T) {
	t.Parallel()
	b := tight(t)
	p := &slot{}
	done := b.later(t.Context(), 0, 14, p)
	b.blocked(done)
	b.mustCommit(map[int32]int64{0: 11})
	if err := <-done; err != nil || p.pending.Load() != 1 {
		t.Errorf("%v, %d times said to be pending", err, p.pending.Load())
	}
	b.mustCommit(map[int32]int64{0: 15})
	if s := b.Status(); s.Buffered != 0 {
		t.Errorf("%d bytes are left", s.Buffered)
	}
}

// A partition's next outcome gets in, or the full buffer would wait for it for ever; with one of its partition before
// it, a commit can make room, so it waits.
func TestTransactionBufferLetsTheNextIn(t *testing.T) {
	t.Parallel()
	b := tight(t)
	var before, next, after slot // 10 to 13 are here; 9 is what they wait for
	next.first.Store(true)
	waiting := b.later(t.Context(), 0, 9, &next)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	over := b.Status().Buffered
	after.first.Store(true)
	done := b.later(t.Context(), 0, 14, &after) // the next one now, but 9 can be committed
	b.blocked(done)
	other := b.later(t.Context(), 1, 0, &before) // another partition's, which waits for an earlier one
	b.blocked(other)
	before.first.Store(true) // the earlier one was let in meanwhile: its own Write tells
	b.write(2, 0, 0)
	b.outbox.removeCommitted(nil)
	if err := <-other; err != nil {
		t.Fatal(err)
	}
	if s := b.Status(); s.Buffered <= over {
		t.Errorf("%d bytes", s.Buffered)
	}
	b.mustCommit(map[int32]int64{0: 14})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.wantSeen([]string{"requests/0/0", "requests/0/9", "requests/0/10", "requests/0/11", "requests/0/12",
		"requests/0/13"})
}

// Acknowledging one outcome makes another the next of its partition; that one goes on without anybody's help.
func TestAcknowledgementWakesTheNext(t *testing.T) {
	t.Parallel()
	b := tight(t)
	second := &slot{}
	done := b.later(t.Context(), 1, 1, second)
	b.blocked(done)
	third := &slot{}
	last := b.later(t.Context(), 2, 1, third)
	b.blocked(last)
	first := &chained{then: second}
	first.first.Store(true)
	req, out := b.result(1, 0)
	req.Slot = first
	if err := b.Write(deadline(t), req, out); err != nil {
		t.Fatal(err)
	}
	b.blocked(done) // 1/0 is here: a commit makes room
	b.mustCommit(map[int32]int64{1: 1})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.blocked(last)
	third.first.Store(true)
	chainedTo := &chained{then: third}
	chainedTo.first.Store(true)
	req, out = b.result(3, 0)
	req.Slot = chainedTo
	if err := b.Write(deadline(t), req, out); err != nil { // another partition's: its acknowledgement tells
		t.Fatal(err)
	}
	if err := <-last; err != nil {
		t.Fatal(err)
	}
}

// chained makes another slot the first one when it is pending.
type chained struct {
	slot
	then *slot
}

func (c *chained) Pending() {
	c.slot.Pending()
	c.then.first.Store(true)
}

// What is kept for partitions that were given back is forgotten, and what waits to be kept for them is let go.
func TestTransactionsForgetWhatIsRevoked(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
	b := onEmbedded(t, cluster, nil)
	gone, stays := &slot{}, &slot{}
	for offset := range int64(4) {
		req, out := b.result(1, offset)
		req.Slot = gone
		if err := b.Write(deadline(t), req, out); err != nil {
			t.Fatal(err)
		}
	}
	b.outbox.limit = b.Status().Buffered
	waiting, other := b.later(t.Context(), 1, 4, gone), b.later(t.Context(), 2, 0, stays)
	b.blocked(waiting)
	b.blocked(other)
	gone.revoked.Store(true)
	b.Revoked()
	for _, done := range []chan error{waiting, other} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	late := b.later(t.Context(), 1, 5, gone) // it was on its way
	if err := <-late; err != nil || gone.pending.Load() != 6 {
		t.Errorf("%v; %d of 6 said to be pending", err, gone.pending.Load())
	}
	b.mustCommit(map[int32]int64{1: 6, 2: 1}) // granted again: nothing of before comes out
	b.wantSeen([]string{"requests/0/0", "requests/2/0"})
}

// A write that waits ends with its context and leaves nothing behind.
func TestTransactionBufferCancelled(t *testing.T) {
	t.Parallel()
	b := tight(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := &slot{}
	done := b.later(ctx, 0, 14, p)
	b.blocked(done)
	full := b.Status().Buffered
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || p.pending.Load() != 0 {
		t.Errorf("%v, %d times said to be pending", err, p.pending.Load())
	}
	if s := b.Status(); s.Buffered != full {
		t.Errorf("%d bytes instead of %d", s.Buffered, full)
	}
}

// Where there is no coordinator the start says so, and what to look at.
func TestNoTransactionCoordinator(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, transactionTopics...)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	outcomes := Outcomes{Results: "results", DeadLetters: "deadletters"}
	wire := connect(t, cluster.ListenAddrs())
	if _, err := NewTransactions(ctx, TransactionConfig{ID: "a"}, outcomes, wire, zerolog.Nop(),
		&observer{}); err == nil ||
		!strings.Contains(err.Error(), "transaction.state.log.min.isr") {
		t.Errorf("error %v", err)
	}
	outcomes.Results = "no such topic"
	if _, err := NewTransactions(t.Context(), TransactionConfig{ID: "a"}, outcomes, wire, zerolog.Nop(),
		&observer{}); err == nil ||
		!strings.Contains(err.Error(), "no such topic") {
		t.Errorf("error %v", err)
	}
}
