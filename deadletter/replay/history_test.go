package replay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/schemas"
)

// Whatever runs there are, and in whatever order and however often outcomes are told: each request counts once, and a
// dead letter outweighs a result.
func TestHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := History{Requests: "requests"}
		place := rapid.Custom(func(t *rapid.T) schemas.Position {
			topic := rapid.SampledFrom([]string{"requests", "others"}).Draw(t, "topic")
			return schemas.Position{
				Topic: topic, Partition: rapid.Int32Range(0, 2).Draw(t, "partition"), Offset: rapid.Int64Range(0, 200).
					Draw(t, "offset"),
			}
		})
		reasons := []schemas.Reason{schemas.ReasonExpired, schemas.ReasonInternalError, "", "unheard of"}
		entry := rapid.Custom(func(t *rapid.T) ledger.Entry {
			return ledger.Entry{
				Run: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "run"), By: "me@here",
				Time:    noon.Add(time.Duration(rapid.IntRange(-9, 9).Draw(t, "minutes")) * time.Minute),
				Request: place.Draw(t, "request"), Reason: rapid.SampledFrom(reasons).Draw(t, "reason"),
			}
		})
		entries := rapid.SliceOfDistinct(entry, func(e ledger.Entry) schemas.Position { return e.Request }).Draw(t, "entries")
		for i := range entries {
			h.Add(&entries[i])
		}
		outcomes := map[schemas.Position]Outcome{}
		for range rapid.IntRange(0, 400).Draw(t, "outcomes") {
			at := place.Draw(t, "at")
			if len(entries) > 0 && rapid.Bool().Draw(t, "of a replayed one") {
				at = entries[rapid.IntRange(0, len(entries)-1).Draw(t, "which")].Request
			}
			if rapid.Bool().Draw(t, "dead") {
				h.DeadAgain(at)
				outcomes[at] = DeadAgain
			} else {
				h.Answered(at)
				if outcomes[at] == "" {
					outcomes[at] = Answered
				}
			}
		}
		wantHistory(t, &h, entries, outcomes)
	})
}

// wantHistory counts again, the simple way.
func wantHistory(t *rapid.T, h *History, entries []ledger.Entry, outcomes map[schemas.Position]Outcome) {
	counts := map[string]int64{}
	var order []string
	first := time.Time{}
	for _, e := range entries {
		outcome := outcomes[e.Request]
		if outcome == "" || e.Request.Topic != "requests" {
			outcome = Open
		}
		if got := h.Outcome(&e); got != outcome {
			t.Fatalf("%+v: %s, want %s", e.Request, got, outcome)
		}
		counts[e.Run+string(outcome)]++
		reason := e.Reason
		if reason == "unheard of" {
			reason = ""
		}
		counts[e.Run+"because"+string(reason)]++
		if !slices.Contains(order, e.Run) {
			order = append(order, e.Run)
		}
		if first.IsZero() || e.Time.Before(first) {
			first = e.Time
		}
	}
	var got []string
	for _, r := range h.Runs() {
		got = append(got, r.ID)
		if r.Answered != counts[r.ID+"answered"] || r.DeadAgain != counts[r.ID+"dead-letter"] ||
			r.Open() != counts[r.ID+"open"] {
			t.Fatalf("run %s: %+v, %d open, want %v", r.ID, r, r.Open(), counts)
		}
		for _, reason := range append(schemas.Reasons, "") {
			if r.Reasons[reason] != counts[r.ID+"because"+string(reason)] {
				t.Fatalf("run %s: %v, want %v", r.ID, r.Reasons, counts)
			}
		}
	}
	if !slices.Equal(got, order) || h.Replayed() != int64(len(entries)) || h.Entries != h.Replayed() ||
		!h.First.Equal(first) {
		t.Fatalf("runs %v, want %v; %d replayed since %v, want %d since %v", got, order, h.Replayed(), h.First, len(entries),
			first)
	}
}

func TestHistoryFilter(t *testing.T) {
	t.Parallel()
	e := ledger.Entry{Run: "one", By: "ann@host-1", Time: noon}
	tests := map[string]struct {
		filter HistoryFilter
		passes bool
	}{
		"none":           {HistoryFilter{}, true},
		"since then":     {HistoryFilter{Since: noon}, true},
		"since later":    {HistoryFilter{Since: noon.Add(1)}, false},
		"until then":     {HistoryFilter{Until: noon}, false},
		"until later":    {HistoryFilter{Until: noon.Add(1)}, true},
		"run":            {HistoryFilter{Run: "one"}, true},
		"another run":    {HistoryFilter{Run: "on"}, false},
		"by":             {HistoryFilter{By: "ann@host-1"}, true},
		"by user":        {HistoryFilter{By: "ann"}, true},
		"by part of one": {HistoryFilter{By: "an"}, false},
		"by host":        {HistoryFilter{By: "host-1"}, false},
		"all of them":    {HistoryFilter{Since: noon, Until: noon.Add(1), Run: "one", By: "bob"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := History{Filter: test.filter}
			h.Add(&e)
			if got := h.Replayed() == 1; got != test.passes || h.Entries != 1 {
				t.Errorf("passes: %t; %d entries", got, h.Entries)
			}
		})
	}
}

// Which request a result answers is in a header; where it is not, in the result itself. Failed ones answer nothing.
func TestHistoryResult(t *testing.T) {
	t.Parallel()
	at := func(offset int64) schemas.Position {
		return schemas.Position{Topic: "requests", Partition: 1, Offset: offset}
	}
	record := func(offset int64, outcome string) *schemas.Record {
		r := schemas.Result{
			RequestID: "r", ContractID: 7, Outcome: outcome, Reason: schemas.ReasonExpired, CorrelationID: "c",
			RetrievedAt: noon,
			Source:      at(offset),
		}
		m := r.Message(nil)
		return &schemas.Record{Key: m.Key, Value: m.Value, Headers: m.Headers}
	}
	bare := func(rec *schemas.Record, headers ...schemas.Header) *schemas.Record {
		rec.Headers = headers
		return rec
	}
	id := func(text string) schemas.Header {
		return schemas.Header{Key: schemas.HeaderEventID, Value: []byte(text)}
	}
	broken := record(5, schemas.OutcomeComplete)
	broken.Value = broken.Value[:20]

	h := History{Requests: "requests"}
	for offset := range int64(10) {
		h.Add(&ledger.Entry{Run: "one", Request: at(offset)})
	}
	for _, rec := range []*schemas.Record{
		record(0, schemas.OutcomeComplete), record(1, schemas.OutcomePartial), record(2, schemas.OutcomeFailed),
		bare(record(3, schemas.OutcomeComplete)), bare(record(4, schemas.OutcomeComplete), id("of another writer")), broken,
		record(77, schemas.OutcomeComplete), bare(record(88, schemas.OutcomeComplete)), {}, {Value: []byte("{}")},
		bare(record(6, schemas.OutcomeComplete), id("requests/1/")),
		bare(record(7, schemas.OutcomeComplete), id("requests/4294967297/7")),
	} {
		h.Result(rec)
	}
	var answered []int64
	for offset := range int64(10) {
		if h.Outcome(&ledger.Entry{Request: at(offset)}) == Answered {
			answered = append(answered, offset)
		}
	}
	if !slices.Equal(answered, []int64{0, 1, 3, 4, 6, 7}) || h.answered.Len() != 6 {
		t.Errorf("answered: %v", answered)
	}

	l := letter(0, "{}")
	source := l.Info().Source
	h = History{Requests: source.Topic}
	e := ledger.Entry{Run: "two", Request: source}
	h.Letter(l)
	if h.Add(&e); h.Outcome(&e) != Open {
		t.Errorf("a dead letter from before: %s", h.Outcome(&e))
	}
	if h.Letter(l); h.Outcome(&e) != DeadAgain {
		t.Errorf("a dead letter: %s", h.Outcome(&e))
	}
	h.Letter(deadletter.Read(&schemas.Record{}))
}

// A ledger that somebody fills with runs and long texts takes no more than so much memory.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	h := History{Requests: "requests"}
	long := strings.Repeat("x", 2*schemas.MaxDetail)
	for i := range maxRuns + 7 {
		h.Add(&ledger.Entry{Run: fmt.Sprint(i, long), By: long, Filter: long,
			Request: schemas.Position{Topic: "requests", Offset: int64(i)}})
	}
	h.Answered(schemas.Position{Topic: "requests", Offset: maxRuns + 3})
	runs := h.Runs()
	others := runs[len(runs)-1]
	if len(runs) != maxRuns+1 || others.ID != "" || others.Replayed != 7 || others.Answered != 1 ||
		h.Replayed() != maxRuns+7 {
		t.Errorf("%d runs, the others are %d of %d", len(runs), others.Replayed, h.Replayed())
	}
	if r := runs[0]; len(r.ID) != schemas.MaxDetail || len(r.By) != schemas.MaxDetail ||
		len(r.Filter) != schemas.MaxDetail {
		t.Errorf("%d, %d and %d bytes are kept", len(r.ID), len(r.By), len(r.Filter))
	}
}
