package consumer

import (
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/schemas"
)

// One partition a contract is never counted, however many contracts there are; a contract that alternates is.
func TestSpread(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s spread
		partitions := int64(rapid.IntRange(1, 9).Draw(t, "partitions"))
		for _, contract := range rapid.SliceOf(rapid.Int64Range(1, schemas.MaxContractID)).Draw(t, "contracts") {
			s.note(contract, int32(contract%partitions))
		}
		if s.changes != 0 {
			t.Fatalf("%d changes of contracts that have one partition each", s.changes)
		}
		contract := rapid.Int64Range(1, schemas.MaxContractID).Draw(t, "contract")
		s.note(contract, 3)
		before := s.changes
		for i := range 5 {
			s.note(contract, int32(i%2))
		}
		if s.changes != before+5 {
			t.Fatalf("%d changes, want 5", s.changes-before)
		}
	})
}

// What is submitted is counted, but not the lane of invalid requests, which come from everywhere.
func TestSpreadOfLanes(t *testing.T) {
	t.Parallel()
	l := newLanes(nil, 0) // no worker: they stay where they are
	one, other := &partition{id: 1}, &partition{id: 2}
	for _, it := range []*slot{record(one, 7, 1), record(one, 8, 2), record(other, 7, 3), record(one, 7, 4),
		record(other, 9, 5)} {
		l.submit(t.Context(), it)
	}
	for _, p := range []*partition{one, other} {
		invalid := record(p, 7, 9)
		invalid.req.Err = errors.New("not a request")
		l.submit(t.Context(), invalid)
	}
	if got := l.spreadChanges(); got != 2 {
		t.Errorf("%d changes, want 2", got)
	}
}

func BenchmarkSpread(b *testing.B) {
	var s spread
	contracts := make([]int64, 1<<16)
	for i := range contracts {
		contracts[i] = 1 + rand.Int64N(100_000)
	}
	for i := 0; b.Loop(); i++ {
		s.note(contracts[i&(1<<16-1)], int32(i&15))
	}
}
