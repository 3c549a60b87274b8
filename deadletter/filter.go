package deadletter

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/schemas"
)

// Filter selects dead letters: those that pass all of its conditions. The zero value of a condition lets everything
// pass.
type Filter struct {
	Reasons   []schemas.Reason // "": none that this version knows
	Statuses  []int            // of the last CMS answer; 0: there was none
	Since     time.Time        // not before
	Until     time.Time        // before
	Contracts []int64
	// Grep has to be found in the key, the value, or the value of a header.
	Grep *regexp.Regexp
	// At are the only letters wanted, by their position in the dead-letter topic; an Offset of -1 means the whole
	// partition.
	At []schemas.Position
	// Except are letters that are not wanted, by their position too.
	Except *Positions
}

// Passes says whether the filter lets a letter pass. Conditions that cost little are looked at first.
func (f *Filter) Passes(l *Letter) bool {
	return f.passesPosition(l) && f.passesHeaders(l) && f.passesContract(l) && f.passesGrep(l)
}

func (f *Filter) passesPosition(l *Letter) bool {
	if !f.Since.IsZero() && l.Time.Before(f.Since) || !f.Until.IsZero() && !l.Time.Before(f.Until) {
		return false
	}
	if f.Except.Has(l.Partition, l.Offset) {
		return false
	}
	return len(f.At) == 0 || slices.ContainsFunc(f.At, func(at schemas.Position) bool {
		return at.Partition == l.Partition && (at.Offset == -1 || at.Offset == l.Offset)
	})
}

func (f *Filter) passesHeaders(l *Letter) bool {
	if len(f.Reasons) > 0 && !slices.Contains(f.Reasons, l.knownReason()) {
		return false
	}
	if len(f.Statuses) == 0 {
		return true
	}
	status, _ := strconv.Atoi(l.text(schemas.HeaderHTTPStatus)) // 0 where it has none
	return slices.Contains(f.Statuses, status)
}

func (f *Filter) passesContract(l *Letter) bool {
	if len(f.Contracts) == 0 {
		return true
	}
	r, _ := l.Request() // an invalid request may tell its contract all the same
	return slices.Contains(f.Contracts, r.ContractID)
}

func (f *Filter) passesGrep(l *Letter) bool {
	if f.Grep == nil {
		return true
	}
	return f.Grep.Match(l.Value) || f.Grep.Match(l.Key) || slices.ContainsFunc(l.Headers, func(h schemas.Header) bool {
		return f.Grep.Match(h.Value)
	})
}

// within are the offsets that the filter's positions need; nil: all.
func (f *Filter) within() map[int32]tail.Span {
	if len(f.At) == 0 {
		return nil
	}
	spans := map[int32]tail.Span{}
	for _, at := range f.At {
		wanted := tail.Span{From: at.Offset, To: at.Offset + 1}
		if at.Offset < 0 {
			wanted = tail.Span{To: math.MaxInt64}
		}
		if span, more := spans[at.Partition]; more {
			wanted = tail.Span{From: min(span.From, wanted.From), To: max(span.To, wanted.To)}
		}
		spans[at.Partition] = wanted
	}
	return spans
}
