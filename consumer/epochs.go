package consumer

import "github.com/balanceq/balanceq/kafkawire"

// epochs remembers under which leader epochs a partition's records were written, from the commit offset to the end of
// what was read. The first entry is where the partition started, with the epoch of the record before it.
type epochs []kafkawire.EpochStart

// at returns the epoch of the record before offset, NoEpoch if it is not known.
func (e epochs) at(offset int64) int32 {
	for i := len(e) - 1; i > 0; i-- {
		if e[i].From < offset {
			return e[i].Epoch
		}
	}
	return e[0].Epoch
}

// add appends what was read next.
func (e epochs) add(read []kafkawire.EpochStart) epochs {
	for _, r := range read {
		if e[len(e)-1].Epoch != r.Epoch {
			e = append(e, r)
		}
	}
	return e
}

// trim forgets what is not asked for any more when nothing below offset is.
func (e epochs) trim(offset int64) epochs {
	for len(e) > 1 && e[1].From < offset {
		e = e[1:]
	}
	return e
}

// divergence returns where a log that was read up to offset parts from the one that is there now, which answers with an
// end: at that end, or where the first records were read that have a later epoch than it.
func (e epochs) divergence(offset int64, end kafkawire.EpochEnd) int64 {
	to := min(offset, end.End)
	for _, s := range e[1:] {
		if s.Epoch > end.Epoch {
			return min(to, s.From)
		}
	}
	return to
}
