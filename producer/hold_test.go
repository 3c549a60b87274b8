package producer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// letter is a dead letter of so many bytes, for the record at partition/offset.
func (b *rig) letter(partition int32, offset int64, size int) string {
	b.tb.Helper()
	req, _ := b.result(partition, offset)
	req.Record.Value = []byte(req.Record.String() + strings.Repeat(" ", size))
	out := schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: &req.Record, Reason: schemas.ReasonInvalidRequest}}
	if err := b.Write(deadline(b.tb), req, out); err != nil {
		b.tb.Fatal(err)
	}
	return string(req.Record.Value)
}

// stubborn is a dead letter that has no other form: it does not compress, and nothing of it may be left out.
func (b *rig) stubborn(partition int32, offset int64, size int) string {
	b.tb.Helper()
	req, _ := b.result(partition, offset)
	req.Record.Value = append([]byte(req.Record.String()), random(b.tb, size, uint64(offset))...)
	out := schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: &req.Record, Reason: schemas.ReasonInvalidRequest}}
	if err := b.Write(deadline(b.tb), req, out); err != nil {
		b.tb.Fatal(err)
	}
	b.outbox.change(b.outcomes.DeadLetters, req, func(_ *pending, m *addressed) { m.entry.letter = nil })
	return string(req.Record.Value)
}

// due makes the next Commit try again what was too large.
func (b *rig) due() {
	for _, h := range b.committer.holds.list {
		h.again = time.Time{}
	}
}

// An outcome that is larger than its topic allows holds up its own partition, from its record on. It is tried alone,
// now and then: what is aborted stays in the logs.
func TestOversizedOutcomeHoldsUpItsPartition(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	dead := broker.Topic(t, 3, "max.message.bytes=2000")
	b := transactions(t, broker.Brokers(), broker.Topic(t, 3), broker.Topic(t, 3), dead, "a", nil)
	fits := b.write(0, 0, 5)
	held := []string{b.stubborn(0, 5, 5000), b.stubborn(0, 6, 6000)}
	held = append(held, b.write(0, 7, 3)...)
	fits = append(fits, b.write(1, 0, 5)...)
	offsets := map[int32]int64{0: 10, 1: 5}
	refused := func() {
		t.Helper()
		if err := b.commit(offsets); !kafkawire.TooLarge(err) ||
			!strings.Contains(err.Error(), "raise max.message.bytes of the topic") ||
			!strings.Contains(err.Error(), dead) {
			t.Fatalf("committing: %v", err)
		}
		if s := b.Status(); s.Failing == nil {
			t.Error("the status does not say so")
		}
	}
	refused() // found
	refused() // without it
	b.wantSeen(fits)
	if got := b.stored(0, 1); got[0] != 5 || got[1] != 5 {
		t.Errorf("stored %v", got)
	}
	written := func() (n int64) {
		for _, topic := range b.outcomes.Topics() {
			for _, end := range broker.EndOffsets(t, topic) {
				n += end
			}
		}
		return n
	}
	before := written()
	for range 5 {
		for _, h := range b.committer.holds.list {
			h.again = time.Now().Add(time.Hour) // a slow machine must not make it due
		}
		refused()
	}
	b.due()
	refused()
	if n := written(); n > before+1 { // the marker of what was aborted
		t.Errorf("trying has written %d records", n-before)
	}
	fits = append(fits, b.write(1, 5, 5)...)
	offsets[1] = 10
	refused()
	b.wantSeen(fits)

	raiseLimit(t, broker.Brokers(), dead, "5600")
	kafkatest.Eventually(t, within, "the first fits now, the second does not", func() bool {
		b.due() // the broker takes its time to apply the limit
		refused()
		return b.stored(0)[0] == 6
	})
	b.wantSeen(append(slices.Clone(fits), held[0]))
	raiseLimit(t, broker.Brokers(), dead, "20000")
	kafkatest.Eventually(t, within, "it is committed", func() bool { b.due(); return b.commit(offsets) == nil })
	b.wantSeen(slices.Concat(fits, held))
	if s := b.Status(); s.Failing != nil || s.Buffered != 0 || b.stored(0)[0] != 10 {
		t.Errorf("afterwards: %+v, %v stored", s, b.stored(0))
	}
}

// What was too large is somebody else's meanwhile: the offset that they have committed is not rewound to it.
func TestOversizedOutcomeOfAnother(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	b := transactions(t, broker.Brokers(), broker.Topic(t, 3), broker.Topic(t, 3),
		broker.Topic(t, 3, "max.message.bytes=2000"), "a", nil)
	b.write(0, 0, 5)
	b.stubborn(0, 5, 5000)
	later := b.write(0, 6, 4)
	for range 2 {
		if err := b.commit(map[int32]int64{0: 6}); !kafkawire.TooLarge(err) {
			t.Fatal(err)
		}
	}
	other := b.again("b")
	other.mustCommit(map[int32]int64{0: 8})
	b.committer.ready = false // it finds out with the next epoch
	b.mustCommit(map[int32]int64{0: 8})
	if got := b.stored(0)[0]; got != 8 {
		t.Errorf("stored %d", got)
	}
	b.mustCommit(map[int32]int64{0: 10})
	if got := b.stored(0)[0]; got != 10 || b.Status().Buffered != 0 {
		t.Errorf("stored %d, %d bytes left", got, b.Status().Buffered)
	}
	kafkatest.Eventually(t, within, "the last ones are seen",
		func() bool { return slices.Contains(b.outcomesSeen(true), later[3]) })
}

// A transaction that fails is followed by the next one after a pause, which grows: what was written is in the logs,
// aborted.
func TestFailedTransactionsPause(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	b.write(0, 0, 1)
	if b.commit(map[int32]int64{0: 1}); b.committer.pause != 0 {
		t.Errorf("a pause of %v after one that worked", b.committer.pause)
	}
	stranger := func() kafkawire.Member { return kafkawire.Member{Group: b.group, ID: "unknown", Generation: 7} }
	b.write(0, 1, 1)
	for want := minBackoff; want < 200*time.Millisecond; want *= 2 {
		began, before := time.Now(), b.committer.pause
		if _, err := b.Commit(deadline(t), stranger, at(map[int32]int64{0: 2})); err == nil {
			t.Fatal("committed for a stranger")
		}
		if b.committer.pause != want || time.Since(began) < before {
			t.Errorf("a pause of %v after %v, want %v", b.committer.pause, time.Since(began), want)
		}
	}
	b.mustCommit(map[int32]int64{0: 2})
	if b.committer.pause != 0 {
		t.Errorf("a pause of %v after one that worked", b.committer.pause)
	}
}

// Committed is told of each outcome once, when it is in the log, and not of one whose partition is somebody else's.
func TestPlacesAreToldOfTheCommit(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	slots := []*slot{{}, {}, {}, {}}
	for i, p := range slots {
		req, out := b.result(0, int64(i))
		req.Slot = p
		if err := b.Write(deadline(t), req, out); err != nil {
			t.Fatal(err)
		}
	}
	told := func() (list []int32) {
		for _, p := range slots {
			list = append(list, p.committed.Load())
		}
		return list
	}
	if got := told(); !slices.Equal(got, []int32{0, 0, 0, 0}) {
		t.Errorf("told %v before the commit", got)
	}
	b.mustCommit(map[int32]int64{0: 2})
	b.mustCommit(map[int32]int64{0: 2})
	slots[3].revoked.Store(true)
	b.mustCommit(map[int32]int64{0: 4})
	if got := told(); !slices.Equal(got, []int32{1, 1, 1, 0}) {
		t.Errorf("told %v", got)
	}
}

// While one Commit goes on trying, the status says why already; afterwards it does not, nor when there is nothing left
// to commit.
func TestStatusOfALongCommit(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
	b := onEmbedded(t, cluster, nil)
	b.write(0, 1, 1)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator, Count: kafkawire.ReportAfter + 4})
	done := make(chan error, 1)
	go func() { done <- b.commit(map[int32]int64{0: 2}) }()
	kafkatest.Eventually(t, within, "the status says so", func() bool { return b.Status().Failing != nil })
	select {
	case err := <-done:
		t.Fatalf("it ended before: %v", err)
	default:
	}
	if err := <-done; err != nil || b.Status().Failing != nil {
		t.Errorf("committing: %v; status %+v", err, b.Status())
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, Count: 1})
	if err := b.commit(map[int32]int64{0: 3}); err == nil || b.Status().Failing == nil {
		t.Errorf("committing: %v; status %+v", err, b.Status())
	}
	if b.Revoked(); b.Status().Failing != nil {
		t.Errorf("with nothing left, the status is %+v", b.Status())
	}
}
