package processor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// However requests join and leave: the codes are exactly the union, there are at most 100, and each answer holds its
// own.
func TestQuery(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		q := newQuery(7, limit)
		var joined []*inflight.Request
		for offset := range int64(rapid.IntRange(1, 10).Draw(t, "requests")) {
			codes := rapid.SliceOfNDistinct(rapid.IntRange(0, 149), 1, 100, rapid.ID).Draw(t, "codes")
			req := request(7, offset, names(codes)...)
			before := slices.Clone(req.Request.BalanceCodes)
			fits := len(joined) < limit && (len(joined) == 0 || len(union(append(slices.Clone(joined),
				req))) <= schemas.MaxBalanceCodes)
			if q.join(req) != fits {
				t.Fatalf("join = %v, want %v", !fits, fits)
			}
			if fits {
				joined = append(joined, req)
			}
			if !slices.Equal(before, req.Request.BalanceCodes) {
				t.Fatal("join changed the request's codes")
			}
			checkQuery(t, q, joined)
		}
		drop := rapid.Uint16().Draw(t, "drop")
		keep := func(req *inflight.Request) bool { return drop>>req.Record.Offset&1 == 0 }
		q.filter(keep)
		checkQuery(t, q, slices.DeleteFunc(joined, func(req *inflight.Request) bool { return !keep(req) }))
	})
}

func names(codes []int) []string {
	list := make([]string, len(codes))
	for i, c := range codes {
		list[i] = fmt.Sprintf("C%03d", c)
	}
	return list
}

func union(reqs []*inflight.Request) []string {
	var all []string
	for _, req := range reqs {
		all = append(all, req.Request.BalanceCodes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func checkQuery(t *rapid.T, q *query, want []*inflight.Request) {
	if !slices.Equal(q.requests, want) {
		t.Fatalf("the group holds %d requests, want %d", len(q.requests), len(want))
	}
	if !slices.Equal(slices.Sorted(slices.Values(q.Codes)), union(want)) {
		t.Fatalf("codes %v are not the union", q.Codes)
	}
	// The CMS has every other code.
	answer := cmsclient.Answer{RetrievedAt: time.Now()}
	for i, code := range q.Codes {
		if i%2 == 0 {
			answer.Balances = append(answer.Balances, schemas.Balance{Code: code})
		}
	}
	for _, req := range q.requests {
		r := q.result(req, answer, q.shared())
		var codes []string
		for _, b := range r.Balances {
			codes = append(codes, b.Code)
		}
		codes = append(codes, r.MissingBalanceCodes...)
		if !slices.Equal(slices.Sorted(slices.Values(codes)), union([]*inflight.Request{req})) {
			t.Fatalf("answer %v to a request for %v", codes, req.Request.BalanceCodes)
		}
		if (r.Outcome == schemas.OutcomePartial) != (len(r.MissingBalanceCodes) > 0) {
			t.Fatalf("outcome %s with %d missing", r.Outcome, len(r.MissingBalanceCodes))
		}
	}
}

func TestQueryDeadline(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	q := newQuery(7, 9)
	for i, deadline := range []time.Time{{}, at.Add(time.Hour), at, {}, at.Add(time.Minute)} {
		req := request(7, int64(i))
		req.Request.Deadline = deadline
		q.join(req)
	}
	if got := q.deadline(); !got.Equal(at) {
		t.Errorf("deadline = %v, want the earliest, %v", got, at)
	}
	q.filter(func(req *inflight.Request) bool { return req.Request.Deadline.IsZero() })
	if got := q.deadline(); !got.IsZero() {
		t.Errorf("deadline = %v, want none", got)
	}
}
