package consumer

// spread counts how often a contract's request came from another partition than the contract's request before it: there
// is no order between partitions. It remembers where the last request of some contracts was, one in each of its slots,
// and forgets it for another contract that has the same slot; so it never counts what is none, and it misses some where
// contracts are many.
type spread struct {
	last    [1 << spreadBits]struct{ contract, partition int64 }
	changes uint64
}

const spreadBits = 12

// note takes constant time and no memory: it is on the way of every request.
func (s *spread) note(contract int64, partition int32) {
	//nolint:gosec // a hash
	slot := &s.last[uint64(contract)*0x9E3779B97F4A7C15>>(64-spreadBits)] // Fibonacci hashing (Knuth, TAOCP 6.4)
	if slot.contract == contract && slot.partition != int64(partition) {
		s.changes++
	}
	slot.contract, slot.partition = contract, int64(partition)
}

// spreadChanges is spread.changes.
func (l *lanes) spreadChanges() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spread.changes
}
