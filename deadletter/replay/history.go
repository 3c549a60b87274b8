package replay

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/schemas"
)

// Outcome says what became of a replayed request.
type Outcome string

// The outcomes of replayed requests.
const (
	Answered  Outcome = "answered"
	DeadAgain Outcome = "dead-letter" // it has become a dead letter again
	Open      Outcome = "open"        // it waits, or its answer has expired, or it went to another topic
)

// HistoryFilter selects replays. The zero value of a condition lets everything pass.
type HistoryFilter struct {
	Since time.Time // not before
	Until time.Time // before
	Run   string
	By    string // user@host, or the user alone
}

// Passes says whether the filter lets an entry of the ledger pass.
func (f *HistoryFilter) Passes(e *ledger.Entry) bool {
	return (f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || e.Time.Before(f.Until)) &&
		(f.Run == "" || f.Run == e.Run) && (f.By == "" || f.By == e.By || strings.HasPrefix(e.By, f.By+"@"))
}

// maxRuns bounds the memory of a History: whatever writes to the ledger may name another run with each entry.
const maxRuns = 10_000

// History says what became of what was replayed. First Add all entries of the ledger; then tell it of all results and
// dead letters since First, in any order, as often as they come.
type History struct {
	Requests string // topic
	Filter   HistoryFilter
	Entries  int64     // of the ledger, whether they pass the filter or not
	First    time.Time // of the oldest entry that passed

	byID                map[string]*Summary
	runs                []*Summary
	others              Summary              // all that were found when there were maxRuns already
	replayed            deadletter.Positions // all requests that were replayed,
	answered, deadAgain deadletter.Positions // and of these the answered ones, and those that are dead letters again
}

// Summary is what one run has replayed. Its texts are as the ledger has them, cut to schemas.MaxDetail.
type Summary struct {
	ID, By, Filter string // "": all runs beyond the first 10,000
	First, Last    time.Time
	Replayed       int64
	Answered       int64 // each request once, however often it was answered
	DeadAgain      int64
	Reasons        map[schemas.Reason]int64 // "": the letter did not tell, or the reason is not known
	requests       deadletter.Positions
}

// Open is how many requests have no outcome: they wait, or their answer has expired.
func (r *Summary) Open() int64 { return r.Replayed - r.Answered - r.DeadAgain }

// Add counts an entry, if it passes the filter.
func (h *History) Add(e *ledger.Entry) {
	h.Entries++
	if !h.Filter.Passes(e) {
		return
	}
	if h.First.IsZero() || e.Time.Before(h.First) {
		h.First = e.Time
	}
	r := h.run(e)
	r.add(e)
	if e.Request.Topic == h.Requests {
		r.requests.Add(e.Request.Partition, e.Request.Offset)
		h.replayed.Add(e.Request.Partition, e.Request.Offset)
	}
}

func (h *History) run(e *ledger.Entry) *Summary {
	id := limited(e.Run)
	if r := h.byID[id]; r != nil {
		return r
	}
	if len(h.runs) >= maxRuns {
		return &h.others
	}
	if h.byID == nil {
		h.byID = map[string]*Summary{}
	}
	r := &Summary{ID: id, By: limited(e.By), Filter: limited(e.Filter)}
	h.byID[id] = r
	h.runs = append(h.runs, r)
	return r
}

// limited copies no more of a text than is shown.
func limited(text string) string { return strings.Clone(text[:min(len(text), schemas.MaxDetail)]) }

func (r *Summary) add(e *ledger.Entry) {
	r.Replayed++
	if r.First.IsZero() || e.Time.Before(r.First) {
		r.First = e.Time
	}
	if e.Time.After(r.Last) {
		r.Last = e.Time
	}
	if r.Reasons == nil {
		r.Reasons = map[schemas.Reason]int64{}
	}
	reason := e.Reason
	if !slices.Contains(schemas.Reasons, reason) {
		reason = ""
	}
	r.Reasons[reason]++
}

// Answered says that the request at a position has a result.
func (h *History) Answered(at schemas.Position) {
	if h.concerns(at) {
		h.answered.Add(at.Partition, at.Offset)
	}
}

// DeadAgain says that the request at a position has become a dead letter. It outweighs a result.
func (h *History) DeadAgain(at schemas.Position) {
	if h.concerns(at) {
		h.deadAgain.Add(at.Partition, at.Offset)
	}
}

func (h *History) concerns(at schemas.Position) bool {
	return at.Topic == h.Requests && h.replayed.Has(at.Partition, at.Offset)
}

// Result takes a record of the results topic. One that says that the request failed is no answer, and one that cannot
// be read is none either.
func (h *History) Result(rec *schemas.Record) {
	if at, told := h.eventPosition(rec); told && !h.concerns(at) {
		return // as most are: they need no decoding
	}
	result, err := schemas.DecodeResult(rec.Value)
	if err == nil && result.Outcome != schemas.OutcomeFailed {
		h.Answered(result.Source)
	}
}

// eventPosition is what the id of a result's event says: the position of its request.
func (h *History) eventPosition(rec *schemas.Record) (schemas.Position, bool) {
	id, _ := rec.Header(schemas.HeaderEventID)
	position, known := strings.CutPrefix(string(id), h.Requests+"/")
	left, right, _ := strings.Cut(position, "/")
	right, _, _ = strings.Cut(right, "@") // behind it: in which log the position was counted
	partition, err := strconv.ParseInt(left, 10, 32)
	offset, err2 := strconv.ParseInt(right, 10, 64)
	return schemas.Position{Topic: h.Requests, Partition: int32(partition), Offset: offset}, known && err == nil &&
		err2 == nil
}

// Letter takes a record of the dead-letter topic.
func (h *History) Letter(l *deadletter.Letter) {
	if info := l.Info(); info.HasSource {
		h.DeadAgain(info.Source)
	}
}

// Outcome is what became of an entry's request.
func (h *History) Outcome(e *ledger.Entry) Outcome {
	switch at := e.Request; {
	case at.Topic != h.Requests:
	case h.deadAgain.Has(at.Partition, at.Offset):
		return DeadAgain
	case h.answered.Has(at.Partition, at.Offset):
		return Answered
	}
	return Open
}

// Runs returns the runs in the order in which the ledger has them, so the newest last. A request that two of them name,
// since its topic was made again in between, counts for both.
func (h *History) Runs() []Summary {
	var all []Summary
	for _, r := range h.runs {
		all = append(all, h.counted(r))
	}
	if h.others.Replayed > 0 {
		all = append(all, h.counted(&h.others))
	}
	return all
}

func (h *History) counted(r *Summary) Summary {
	s := *r
	s.DeadAgain = r.requests.Common(&h.deadAgain, nil)
	s.Answered = r.requests.Common(&h.answered, &h.deadAgain)
	return s
}

// Replayed is how many entries passed the filter.
func (h *History) Replayed() (n int64) {
	for _, r := range h.runs {
		n += r.Replayed
	}
	return n + h.others.Replayed
}
