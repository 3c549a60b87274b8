package deadletter

import "math/bits"

// Positions is a set of positions within one topic. Neighbours share a word, so that a million of them take little
// room.
type Positions struct {
	words map[word]uint64
	n     int
}

// word is 64 offsets of a partition.
type word struct {
	partition int32
	number    int64
}

func locate(partition int32, offset int64) (word, uint64) {
	return word{partition, offset >> 6}, 1 << (offset & 63)
}

// Len is how many positions there are.
func (s *Positions) Len() int { return s.n }

// Has says whether a position is in the set; it is not in a nil one.
func (s *Positions) Has(partition int32, offset int64) bool {
	if s == nil {
		return false
	}
	w, bit := locate(partition, offset)
	return s.words[w]&bit != 0
}

// Add puts a position into the set.
func (s *Positions) Add(partition int32, offset int64) {
	w, bit := locate(partition, offset)
	if s.words[w]&bit != 0 {
		return
	}
	if s.words == nil {
		s.words = map[word]uint64{}
	}
	s.words[w] |= bit
	s.n++
}

// Remove takes a position out of the set and says whether it was there.
func (s *Positions) Remove(partition int32, offset int64) bool {
	w, bit := locate(partition, offset)
	if s.words[w]&bit == 0 {
		return false
	}
	if s.words[w] &^= bit; s.words[w] == 0 {
		delete(s.words, w)
	}
	s.n--
	return true
}

// Common is how many positions are in this set and in another, and not in except, which may be nil.
func (s *Positions) Common(other, except *Positions) (n int64) {
	for at, offsets := range s.words {
		both := offsets & other.words[at]
		if except != nil {
			both &^= except.words[at]
		}
		n += int64(bits.OnesCount64(both))
	}
	return n
}
