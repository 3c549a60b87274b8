package deadletter

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/schemas"
)

func keys(groups []Group) (all []string) {
	for _, g := range groups {
		all = append(all, fmt.Sprintf("%s=%d", g.Key, g.Count))
	}
	return all
}

func TestTally(t *testing.T) {
	t.Parallel()
	letters := []*Letter{
		letter(1, `{"contractId":5,"balanceCodes":["A"]}`),
		letter(2, `{"contractId":5,"balanceCodes":["A"]}`,
			func(d *schemas.DeadLetter) { d.HTTPStatus, d.CMSReasonCode = 404, "GONE" }),
		letter(3, "no JSON", func(d *schemas.DeadLetter) {
			d.Reason, d.DecidedAt = schemas.ReasonInvalidRequest, noon.Add(90*time.Minute)
		}),
	}
	tests := map[Grouping][]string{
		ByReason:    {"contract-not-found=2", "invalid-request=1"},
		ByStatus:    {"=2", "404=1"},
		ByCMSReason: {"=2", "GONE=1"},
		ByContract:  {"5=2", "=1"},
		ByTime:      {"2026-03-01T12:00:00Z=2", "2026-03-01T13:00:00Z=1"},
	}
	if len(tests) != len(Groupings) {
		t.Errorf("%d groupings, %d tested", len(Groupings), len(tests))
	}
	for by, want := range tests {
		tally := Tally{By: by, Bucket: time.Hour}
		for _, l := range letters {
			tally.Add(l)
		}
		if got := keys(tally.Groups()); !slices.Equal(got, want) {
			t.Errorf("by %s: %v, want %v", by, got, want)
		}
		if tally.Total.Count != 3 || !tally.Total.First.Equal(noon) || !tally.Total.Last.Equal(noon.Add(90*time.Minute)) {
			t.Errorf("by %s: total %+v", by, tally.Total)
		}
	}
}

// Every letter is in one group or beyond them, whatever its headers say, and no key is long.
func TestTallyCountsAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		tally := Tally{By: rapid.SampledFrom(Groupings).Draw(rt, "by"), Bucket: time.Minute}
		n := rapid.IntRange(0, 50).Draw(rt, "letters")
		for range n {
			tally.Add(Read(&schemas.Record{
				Value: rapid.SliceOf(rapid.Byte()).Draw(rt, "value"),
				Time:  noon.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(rt, "time"))),
				Headers: []schemas.Header{
					{Key: schemas.HeaderReason, Value: rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(rt, "reason")},
					{Key: schemas.HeaderHTTPStatus, Value: []byte(rapid.SampledFrom([]string{"", "404", "-1", "x"}).
						Draw(rt, "status"))},
				},
			}))
		}
		sum := tally.Beyond.Count
		for _, g := range tally.Groups() {
			sum += g.Count
			if len(g.Key) > schemas.MaxDetail || g.First.After(g.Last) || g.First.Before(tally.Total.First) ||
				g.Last.After(tally.Total.Last) {
				rt.Fatalf("group %+v of %+v", g, tally.Total)
			}
		}
		if sum != int64(n) || tally.Total.Count != int64(n) {
			rt.Fatalf("%d letters: %d in groups, %d in total", n, sum, tally.Total.Count)
		}
	})
}

func TestTallyIsBounded(t *testing.T) {
	t.Parallel()
	tally := Tally{By: ByContract}
	for i := range maxGroups + 10 {
		tally.Add(Read(&schemas.Record{Value: []byte(`{"contractId":` + strconv.Itoa(i+1) + `,"balanceCodes":["A"]}`)}))
	}
	tally.Add(Read(&schemas.Record{Value: []byte(`{"contractId":1,"balanceCodes":["A"]}`)}))
	groups := tally.Groups()
	if len(groups) != maxGroups || tally.Beyond.Count != 10 || groups[0].Key != "1" || groups[0].Count != 2 {
		t.Errorf("%d groups, the largest %+v; beyond %+v", len(groups), groups[0], tally.Beyond)
	}
}

func BenchmarkTally(b *testing.B) {
	rec := letter(1, `{"contractId":70001,"balanceCodes":["AVAILABLE","BLOCKED"]}`).Record
	for _, by := range Groupings {
		b.Run(string(by), func(b *testing.B) {
			tally := Tally{By: by, Bucket: time.Hour}
			b.ReportAllocs()
			for b.Loop() {
				tally.Add(Read(rec))
			}
		})
	}
}
