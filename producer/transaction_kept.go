package producer

import (
	"cmp"
	"slices"
	"time"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// kept is an outcome that is not committed.
type kept struct {
	schemas.Position // of its record
	req              *inflight.Request
	messages         []addressed
	size             int
	since            time.Time
}

// addressed is one message of an outcome.
type addressed struct {
	topic     string
	partition int32 // or Keyed
	entry     entry
}

// backlog is all that is kept, each partition's in the order of offsets.
type backlog struct {
	partitions map[int32][]*kept
	bytes      int
}

func byOffset(k *kept, offset int64) int { return cmp.Compare(k.Offset, offset) }

func (b *backlog) add(k *kept) {
	list := b.partitions[k.Partition]
	at, _ := slices.BinarySearchFunc(list, k.Offset, byOffset)
	b.partitions[k.Partition] = slices.Insert(list, at, k)
	b.bytes += k.size
}

// below returns the outcomes of the records of a partition below an offset.
func (b *backlog) below(partition int32, offset int64) []*kept {
	list := b.partitions[partition]
	n, _ := slices.BinarySearchFunc(list, offset, byOffset)
	return list[:n]
}

// drop forgets those for which gone is true.
func (b *backlog) drop(partition int32, gone func(*kept) bool) {
	list := slices.DeleteFunc(b.partitions[partition], func(k *kept) bool {
		if !gone(k) {
			return false
		}
		b.bytes -= k.size
		return true
	})
	if b.partitions[partition] = list; len(list) == 0 {
		delete(b.partitions, partition)
	}
}

// portion is what one transaction is to hold: of each partition a stretch of outcomes from the first one on, and the offset
// behind it.
type portion struct {
	offsets  Offsets
	outcomes []*kept
	size     int
	held     error // why some of what was asked for is not in it, and will not be in the next one
}

// stretch is what a portion may take of one partition.
type stretch struct {
	partition int32
	outcomes  []*kept
	taken     int
}

// take fills the portion up to limit bytes, from all stretches in turn; the one that has waited longest first, so that a
// large outcome cannot be passed over for ever. The first outcome is taken whatever its size.
func (p *portion) take(from []*stretch, limit int) {
	slices.SortFunc(from, func(a, b *stretch) int { return a.outcomes[0].since.Compare(b.outcomes[0].since) })
	for from = slices.Clone(from); len(from) > 0; {
		from = slices.DeleteFunc(from, func(s *stretch) bool {
			if s.taken == len(s.outcomes) {
				return true
			}
			k := s.outcomes[s.taken]
			if len(p.outcomes) > 0 && p.size+k.size > limit {
				return true
			}
			p.outcomes = append(p.outcomes, k)
			p.size += k.size
			s.taken++
			return false
		})
	}
}
