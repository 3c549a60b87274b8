package producer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Outcomes and offsets come together, and only what lies below the offsets.
func TestTransactionCarriesWhatIsBelowTheOffsets(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	first := b.write(0, 0, 10)
	second := b.write(1, 100, 10)
	b.mustCommit(map[int32]int64{0: 10, 1: 105})
	b.wantSeen(slices.Concat(first, second[:5]))
	if got := b.stored(0, 1, 2); !maps.Equal(got, map[int32]int64{0: 10, 1: 105, 2: kafkawire.NoOffset}) {
		t.Errorf("stored offsets %v", got)
	}
	if s := b.Status(); s.Buffered == 0 || s.Failing != nil {
		t.Errorf("status %+v while five outcomes wait", s)
	}
	for range 3 { // one epoch, several transactions
		offset := b.stored(2)[2]
		first = append(first, b.write(2, max(offset, 0), 5)...)
		b.mustCommit(map[int32]int64{0: 10, 2: max(offset, 0) + 5})
	}
	b.mustCommit(map[int32]int64{1: 110})
	b.wantSeen(slices.Concat(first, second))
	if s := b.Status(); s.Buffered != 0 {
		t.Errorf("status %+v when all is committed", s)
	}
	if epoch := b.committer.txn.Producer.Epoch; epoch != 0 && kafkatest.Shared(t).Kind() != kafkatest.KindContainer {
		t.Errorf("epoch %d: something has failed", epoch)
	}
}

// A dead letter goes to the partition of its source, a result beside it to the one of its key; both or neither.
func TestTransactionOfBoth(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	req, out := b.result(2, 40)
	req.Record.Value = []byte("the request")
	out.DeadLetter = &schemas.DeadLetter{Record: &req.Record, Reason: schemas.ReasonInvalidRequest}
	p := &slot{}
	req.Slot = p
	if err := b.Write(deadline(t), req, out); err != nil || p.pending.Load() != 1 {
		t.Fatalf("%v; said to be pending %d times, want once for both messages", err, p.pending.Load())
	}
	b.mustCommit(map[int32]int64{2: 41})
	b.wantSeen([]string{req.Record.String(), "the request"})
	if ends := kafkatest.Shared(t).EndOffsets(t, b.outcomes.DeadLetters); ends[2] == 0 || ends[0]+ends[1] != 0 {
		t.Errorf("the dead letters' partitions end at %v", ends)
	}
}

// What a transaction holds is not seen before its end, neither outcomes nor offsets, and never if it is aborted.
func TestOpenAndAbortedTransactions(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	names := b.write(0, 0, 20)
	for _, commit := range []bool{false, true} {
		if err := b.underWay(map[int32]int64{0: 20}); err != nil {
			t.Fatal(err)
		}
		kafkatest.Eventually(t, within, "they are in the log", func() bool { return len(b.outcomesSeen(false)) >= 20 })
		if got := b.outcomesSeen(true); len(got) != 0 {
			t.Errorf("commit %v: a read-committed reader sees %v before the end", commit, got)
		}
		stored, err := connect(t, b.brokers).CommittedOffsets(deadline(t), b.group, b.requests, []int32{0})
		// The embedded broker does not know a group before its first commit.
		unknown := kafkatest.Shared(t).Kind() == kafkatest.KindEmbedded && stored[0].Offset == kafkawire.NoOffset
		if !errors.Is(err, kafka.UnstableOffsetCommit) && !unknown {
			t.Errorf("commit %v: before the end the offset is said to be %v, error %v", commit, stored, err)
		}
		if !commit {
			b.committer.abort(t.Context())
			kafkatest.Eventually(t, within, "it is aborted", func() bool { return b.stored(0)[0] == kafkawire.NoOffset })
			if got := b.outcomesSeen(true); len(got) != 0 {
				t.Errorf("of an aborted transaction is seen %v", got)
			}
			b.committer.ready = false
			if err := b.committer.initProducer(deadline(t)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := b.committer.retry().
			Do(deadline(t), func(ctx context.Context) error {
				return b.committer.wire.EndTransaction(ctx, b.committer.txn,
					true)
			}); err != nil {
			t.Fatal(err)
		}
		b.outbox.removeCommitted(at(map[int32]int64{0: 20}))
	}
	b.wantSeen(names)
	if got := b.stored(0); got[0] != 20 {
		t.Errorf("stored offset %v", got)
	}
}

// A process that was thought dead comes back: nothing of it is seen, and its offsets do not count. When it goes on, it
// finds out that all is answered.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"before", "filled"} {
		t.Run(step, func(t *testing.T) {
			zombie := onShared(t, "a")
			names := zombie.write(0, 0, 10)
			if step == "filled" {
				if err := zombie.underWay(map[int32]int64{0: 10}); err != nil {
					t.Fatal(err)
				}
			}
			heir := zombie.again("a")
			if offset := heir.stored(0)[0]; offset != kafkawire.NoOffset {
				t.Fatalf("the heir begins at %d", offset)
			}
			err := zombie.committer.wire.EndTransaction(deadline(t), zombie.committer.txn, true)
			if step == "before" {
				err = zombie.underWay(map[int32]int64{0: 10})
			}
			if !kafkawire.Fenced(err) {
				t.Errorf("the zombie is answered %v", err)
			}
			heir.write(0, 0, 7)
			heir.mustCommit(map[int32]int64{0: 7})
			if got := heir.stored(0)[0]; got != 7 {
				t.Errorf("stored offset %d, want the heir's 7", got)
			}
			heir.wantSeen(names[:7])
			// It is told by Commit, too, in words that help.
			if _, err := zombie.Commit(deadline(t), outsider(zombie.group),
				at(map[int32]int64{0: 10})); !kafkawire.Fenced(err) ||
				!strings.Contains(err.Error(), "was fenced by another instance") || zombie.Status().Failing == nil {
				t.Errorf("error %v, status %+v", err, zombie.Status())
			}
			if err := zombie.commit(map[int32]int64{0: 10}); err != nil { // of its ten, seven are in the log
				t.Fatal(err)
			}
			heir.wantSeen(names)
		})
	}
}

// The group refuses what comes from a member or a generation that it does not know any more; then no outcome is seen
// either.
func TestGroupRefusesStrangers(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumerGroup(b.group), kgo.ConsumeTopics(b.requests),
		kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var member kafkawire.Member
	kafkatest.Eventually(t, within, "a member", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		cl.PollFetches(ctx)
		id, generation := cl.GroupMetadata()
		member = kafkawire.Member{Group: b.group, ID: id, Generation: generation}
		return id != "" && generation > 0
	})
	names := b.write(0, 0, 5)
	for _, c := range []struct {
		member kafkawire.Member
		want   error
	}{
		{kafkawire.Member{Group: b.group, ID: "somebody", Generation: member.Generation}, kafka.UnknownMemberId},
		{kafkawire.Member{Group: b.group, ID: member.ID, Generation: member.Generation - 1}, kafka.IllegalGeneration},
	} {
		_, err := b.Commit(deadline(t), func() kafkawire.Member { return c.member }, at(map[int32]int64{0: 5}))
		if !errors.Is(err, c.want) {
			t.Errorf("%+v is answered %v", c.member, err)
		}
	}
	if got := b.outcomesSeen(true); len(got) != 0 {
		t.Errorf("seen all the same: %v", got)
	}
	asked := 0
	current := func() kafkawire.Member { // it hears of its generation with the third try
		if asked++; asked < 3 {
			return kafkawire.Member{Group: b.group, ID: member.ID, Generation: member.Generation - 1}
		}
		return member
	}
	if _, err := b.Commit(deadline(t), current, at(map[int32]int64{0: 5})); err != nil {
		t.Fatal(err)
	}
	b.wantSeen(names)
}

// A broker that is killed with an open transaction: everything is seen once afterwards.
func TestBrokerRestartInATransaction(t *testing.T) {
	t.Parallel()
	broker := kafkatest.New(t)
	b := transactions(t, broker.Brokers(), broker.Topic(t, 1), broker.Topic(t, 2), broker.Topic(t, 1), "a", nil)
	names := b.write(0, 0, 50)
	if err := b.underWay(map[int32]int64{0: 30}); err != nil {
		t.Fatal(err)
	}
	broker.Restart(t, true)
	err := b.committer.retry().Do(deadline(t), func(ctx context.Context) error {
		return b.committer.wire.EndTransaction(
			ctx, b.committer.txn, true)
	})
	t.Logf("ending it after the restart: %v", err) // Kafka keeps it open; the embedded broker has aborted it
	b.committer.ready = false
	kafkatest.Eventually(t, within, "commits work again", func() bool { return b.commit(map[int32]int64{0: 50}) == nil })
	b.wantSeen(names)
	if got := b.stored(0)[0]; got != 50 {
		t.Errorf("stored offset %d", got)
	}
}

// Outcomes of one key keep the order in which they were written, over batches and transactions.
func TestTransactionsKeepOrder(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	b := transactions(t, broker.Brokers(), broker.Topic(t, 1), broker.Topic(t, 1), broker.Topic(t, 1), "a",
		func(c *TransactionConfig) { c.BatchBytes = 2000 })
	var names []string
	for i := range int64(4) {
		names = append(names, b.write(0, 25*i, 25)...)
		b.mustCommit(map[int32]int64{0: 25*i + 20})
	}
	b.mustCommit(map[int32]int64{0: 100})
	b.wantSeen(names)
	if got := b.outcomesSeen(true); !slices.Equal(got, names) {
		t.Errorf("they came out as %v", got)
	}
}

// A batch over the topic's limit is sent in pieces; a single message over it is said so, and is sent when the limit is
// raised.
func TestTransactionTooLarge(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	b := transactions(t, broker.Brokers(), broker.Topic(t, 1), broker.Topic(t, 1),
		broker.Topic(t, 1, "max.message.bytes=3000"), "a", nil)
	write := func(offset int64, size int) string {
		req, _ := b.result(0, offset)
		req.Record.Value = []byte(strings.Repeat(fmt.Sprint(offset%10), size))
		out := schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: &req.Record, Reason: schemas.ReasonInvalidRequest}}
		if err := b.Write(deadline(t), req, out); err != nil {
			t.Fatal(err)
		}
		return string(req.Record.Value)
	}
	var names []string
	for offset := range int64(20) {
		names = append(names, write(offset, 1000))
	}
	b.mustCommit(map[int32]int64{0: 20})
	b.wantSeen(names)
	b.stubborn(0, 20, 5000)
	err := b.commit(map[int32]int64{0: 21})
	if !kafkawire.TooLarge(err) || !strings.Contains(err.Error(), "max.message.bytes") ||
		!strings.Contains(err.Error(), b.outcomes.DeadLetters) {
		t.Errorf("error %v", err)
	}
	b.wantSeen(names)
	if got := b.stored(0)[0]; got != 20 {
		t.Errorf("stored offset %d", got)
	}
}

// Partitions that are added to the results are written to soon, also within what one epoch began.
func TestTransactionsFollowAddedPartitions(t *testing.T) {
	t.Parallel()
	b := onShared(t, "a")
	names := b.write(0, 0, 30)
	b.mustCommit(map[int32]int64{0: 30})
	kafkatest.AddPartitions(t, b.brokers, b.outcomes.Results, 9)
	kafkatest.Eventually(t, within, "a new partition is written to", func() bool {
		next := int64(len(names))
		names = append(names, b.write(0, next, 30)...)
		b.mustCommit(map[int32]int64{0: next + 30})
		for partition, end := range kafkatest.Shared(t).EndOffsets(t, b.outcomes.Results) {
			if partition >= 3 && end > 0 {
				return true
			}
		}
		return false
	})
	b.wantSeen(names)
}
