package producer

import "slices"

// portion is what one transaction is to hold: of each partition the pending outcomes from the first one on, as far as
// it goes, and the offset behind them.
type portion struct {
	offsets  Offsets
	outcomes []*pending
	size     int
	held     error // why some of what was asked for is not in it, and will not be in the next one
}

// prefix is what a portion may take of one partition.
type prefix struct {
	partition int32
	outcomes  []*pending
	asked     int // how many outcomes lie below the offset that was asked for, those that are held included
	taken     int
}

// take fills the portion up to limit bytes, from all partitions in turn; the one that has waited longest first, so that
// a large outcome cannot be passed over for ever. The first outcome is taken whatever its size.
func (p *portion) take(from []*prefix, limit int) {
	slices.SortFunc(from, func(a, b *prefix) int { return a.outcomes[0].since.Compare(b.outcomes[0].since) })
	for from = slices.Clone(from); len(from) > 0; {
		from = slices.DeleteFunc(from, func(f *prefix) bool {
			if f.taken == len(f.outcomes) {
				return true
			}
			next := f.outcomes[f.taken]
			if len(p.outcomes) > 0 && p.size+next.size > limit {
				return true
			}
			p.outcomes = append(p.outcomes, next)
			p.size += next.size
			f.taken++
			return false
		})
	}
}
