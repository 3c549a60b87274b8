package producer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

func outcomeOf(partition int32, offset int64, size int, since time.Time) *pending {
	return &pending{Position: schemas.Position{Partition: partition, Offset: offset},
		req: &inflight.Request{Slot: &slot{offset: offset}}, size: size, since: since}
}

// However outcomes come in, a partition's are in the order of offsets, and all bytes are counted.
func TestBacklogIsInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := newOutbox(0)
		offsets := rapid.SliceOfNDistinct(rapid.Int64Range(0, 100), 0, 40, rapid.ID).Draw(t, "offsets")
		for _, offset := range offsets {
			b.add(outcomeOf(int32(offset%3), offset, int(offset)+1, time.Time{}))
		}
		below := rapid.Int64Range(0, 101).Draw(t, "below")
		for p := range int32(3) {
			var want, got []int64
			for _, offset := range slices.Sorted(slices.Values(offsets)) {
				if offset < below && int32(offset%3) == p {
					want = append(want, offset)
				}
			}
			for _, k := range b.below(p, below) {
				got = append(got, k.Offset)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("below %d of partition %d are %v, want %v", below, p, got, want)
			}
			b.remove(p, func(k *pending) bool { return k.Offset < below })
		}
		left := 0
		for _, offset := range offsets {
			if offset >= below {
				left += int(offset) + 1
			}
		}
		if b.bytes != left {
			t.Fatalf("%d bytes are left, want %d", b.bytes, left)
		}
	})
}

// A portion takes of each partition a prefix from its first outcome on, no more than the limit unless it is a single
// outcome, and always something. Portion by portion everything comes out, and what has waited the longest is not passed
// over.
func TestPortions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1000
		waiting := map[int32][]*pending{}
		total := 0
		began := time.Now()
		for p := range rapid.Int32Range(1, 5).Draw(t, "partitions") {
			for offset := range rapid.Int64Range(0, 20).Draw(t, "n") {
				size := rapid.SampledFrom([]int{1, 100, 400, 999, 1001, 5000}).Draw(t, "size")
				age := time.Duration(rapid.IntRange(0, 1000).Draw(t, "age"))
				waiting[p] = append(waiting[p], outcomeOf(p, offset, size, began.Add(age)))
				total++
			}
		}
		for out := 0; out < total; {
			var from []*prefix
			var oldest *pending
			for p, list := range waiting {
				if len(list) == 0 {
					continue
				}
				from = append(from, &prefix{partition: p, outcomes: list})
				if oldest == nil || list[0].since.Before(oldest.since) {
					oldest = list[0]
				}
			}
			var p portion
			p.take(from, limit)
			if err := checkPortion(p, from, limit); err != nil {
				t.Fatal(err)
			}
			if p.outcomes[0].since.After(oldest.since) {
				t.Fatalf("%v is passed over", oldest.Position)
			}
			for _, s := range from {
				waiting[s.partition] = s.outcomes[s.taken:]
				out += s.taken
			}
		}
	})
}

func checkPortion(p portion, from []*prefix, limit int) error {
	size, taken := 0, 0
	next := map[int32]int{}
	for _, k := range p.outcomes {
		size += k.size
		i := slices.IndexFunc(from, func(s *prefix) bool { return s.partition == k.Partition })
		if from[i].outcomes[next[k.Partition]] != k {
			return fmt.Errorf("%v is not the next one of its partition", k.Position)
		}
		next[k.Partition]++
	}
	for _, s := range from {
		if taken += s.taken; s.taken != next[s.partition] {
			return fmt.Errorf("partition %d: %d of %d are counted", s.partition, s.taken, next[s.partition])
		}
	}
	switch {
	case len(p.outcomes) == 0 || taken != len(p.outcomes):
		return fmt.Errorf("%d outcomes, %d are counted", len(p.outcomes), taken)
	case size != p.size || size > limit && len(p.outcomes) > 1:
		return fmt.Errorf("%d bytes in %d outcomes, counted %d", size, len(p.outcomes), p.size)
	}
	return nil
}

// A message of an outcome is made in the memory of one that is committed. What is left is its place in the outbox.
func TestCommittedOutcomesGiveTheirMemoryBack(t *testing.T) { //nolint:paralleltest // it counts allocations
	b, o := newOutbox(1<<20), Outcomes{Results: "results"}
	slot := &slot{}
	req := &inflight.Request{Slot: slot, Record: schemas.Record{Key: []byte("70001")}}
	out := schemas.Outcome{Result: &schemas.Result{RequestID: "r-1", ContractID: 70001, Outcome: schemas.OutcomeComplete,
		CorrelationID: "5f0c6e1c-6f5d-4b7e-9d8d-0a3c1f3f4b11", RetrievedAt: time.Now()}}
	const batch = 100
	allocated := testing.AllocsPerRun(100, func() {
		for range batch {
			req.Record.Offset++
			b.add(newPending(req, o.address(req, out)))
		}
		b.removeCommitted(Offsets{0: {Offset: req.Record.Offset + 1}})
	}) / batch
	// Its place, and its messages'; the list grows. Of memory of their own, they would be three more. Under the race
	// detector the pool loses every fourth.
	if most := 5.0; allocated > most {
		t.Errorf("%.1f objects an outcome, want at most %.1f", allocated, most)
	}
	if b.buffered() != 0 {
		t.Errorf("%d bytes are left", b.buffered())
	}
}
