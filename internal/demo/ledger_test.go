package demo

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func requestAt(offset int64) schemas.Position {
	return schemas.Position{Topic: "requests", Partition: 1, Offset: offset}
}

// goodLedger holds one request of each kind, a second good one of the same contract, and their right answers.
func goodLedger() ledger {
	b := ledger{open: []span{{noon, noon.Add(4 * time.Second)}, {noon.Add(5 * time.Second), noon.Add(7 * time.Second)}}}
	for i, k := range append(slices.Clone(kinds), good) {
		q := request{at: requestAt(int64(i)), id: "demo-" + string(rune('a'+i)), kind: k, contract: 100_000}
		b.requests = append(b.requests, q)
		a := k.want()
		a.source, a.id, a.time = q.at, q.id, noon.Add(-time.Second)
		a.at = schemas.Position{Topic: "answers", Partition: 2, Offset: int64(i)}
		if a.reason != "" {
			b.deadLetters = append(b.deadLetters, a)
		} else {
			b.results = append(b.results, a)
		}
	}
	b.published = len(b.requests)
	return b
}

func TestLedgerBalances(t *testing.T) {
	r := goodLedger().check()
	if !r.balances() || r.once != 7 || r.requests != 7 || r.openFor != 6*time.Second {
		t.Fatalf("%+v", r)
	}
	var out bytes.Buffer
	printSummary(&out, r)
	want := "The ledger balances: 7 requests, 7 answered once, 0 lost, 0 repeated\n" +
		"In the 6.0 s that the breaker was open, 0 requests became dead letters\n"
	if !strings.HasSuffix(out.String(), want) || strings.Contains(out.String(), "WRONG") {
		t.Errorf("summary:\n%s", &out)
	}
	if row := r.rows[good]; row.published != 2 || row.results != 2 || row.wrong != 0 {
		t.Errorf("good: %+v", row)
	}
	if row := r.rows[failing]; row.deadLetters[schemas.ReasonAttemptsExhausted] != 1 || row.results != 0 {
		t.Errorf("failing: %+v", row)
	}
}

// Each of these must be noticed, counted where it belongs, and described.
func TestLedgerDoesNotBalance(t *testing.T) {
	tests := map[string]struct {
		spoil func(*ledger)
		count func(*report) int
		want  string // part of the only problem
	}{
		"lost result": {
			func(b *ledger) { b.results = b.results[1:] },
			func(r *report) int { return r.lost }, "lost: request demo-a (good) at requests/1/0",
		},
		"lost dead letter": {
			func(b *ledger) { b.deadLetters = b.deadLetters[1:] },
			func(r *report) int { return r.lost }, "lost: request demo-c (no contract)",
		},
		"repeated result": {
			func(b *ledger) { b.results = slices.Insert(b.results, 1, b.results[0]) },
			func(r *report) int { return r.repeated }, "repeated: request demo-a (good) at requests/1/0 has 2 answers",
		},
		"result and dead letter": {
			func(b *ledger) {
				b.deadLetters = append(b.deadLetters, answer{source: requestAt(0), id: "demo-a", reason: schemas.ReasonExpired,
					time: noon.Add(-time.Hour)})
			},
			func(r *report) int { return r.repeated }, "has 2 answers: [complete expired]",
		},
		"answer to nothing": {
			func(b *ledger) {
				b.results = append(b.results, answer{source: requestAt(99), id: "demo-z", outcome: schemas.OutcomeComplete})
			},
			func(r *report) int { return r.unknown }, "answers requests/1/99 (complete), which was not asked",
		},
		"request of somebody else": {
			func(b *ledger) { b.requests[0].kind = "" },
			func(r *report) int { return r.unknown }, "is none of the demo's",
		},
		"disorder": {
			func(b *ledger) { // the two good ones of the contract change places
				last := len(b.results) - 1
				b.results[0], b.results[last] = b.results[last], b.results[0]
				b.results = slices.Delete(b.results, 1, last) // a partial one between them would be in disorder, too
				b.requests = slices.DeleteFunc(b.requests, func(q request) bool { return q.kind == partial })
				b.published--
			},
			func(r *report) int { return r.disorder }, "of contract 100000 after requests/1/6",
		},
		"results of one contract in two partitions": {
			func(b *ledger) { b.results[len(b.results)-1].at.Partition++ },
			func(r *report) int { return r.disorder }, "out of order",
		},
		"wrong reason": {
			func(b *ledger) { b.deadLetters[0].reason = schemas.ReasonRequestRejected },
			func(r *report) int { return r.wrong },
			"demo-c (no contract) at requests/1/2 is answered by request-rejected, not contract-not-found",
		},
		"wrong outcome": {
			func(b *ledger) { b.results[0].outcome = schemas.OutcomePartial },
			func(r *report) int { return r.wrong }, "demo-a (good) at requests/1/0 is answered by partial, not complete",
		},
		"dead letter for a good one": {
			func(b *ledger) {
				b.deadLetters = append(b.deadLetters, answer{source: requestAt(0), id: "demo-a",
					reason: schemas.ReasonAttemptsExhausted, time: noon.Add(-time.Hour)})
				b.results = b.results[1:]
			},
			func(r *report) int { return r.wrong }, "is answered by attempts-exhausted, not complete",
		},
		"wrong id": {
			func(b *ledger) { b.results[0].id = "demo-b" },
			func(r *report) int { return r.wrong }, "is answered under the id demo-b",
		},
		"dead letter while open": {
			func(b *ledger) { b.deadLetters[1].time = noon.Add(6 * time.Second) },
			func(r *report) int { return r.whileOpen }, "when the breaker had been open for 1s",
		},
		"dead letter just after the opening": {
			func(b *ledger) { b.deadLetters[0].time = noon.Add(blur + time.Millisecond) },
			func(r *report) int { return r.whileOpen }, "when the breaker had been open for 251ms",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := goodLedger()
			test.spoil(&b)
			r := b.check()
			if r.balances() || len(r.problems) != 1 || !strings.Contains(r.problems[0], test.want) {
				t.Errorf("problems: %q", r.problems)
			}
			if n := test.count(r); n != 1 {
				t.Errorf("counted %d, want 1: %+v", n, r)
			}
			var out bytes.Buffer
			printSummary(&out, r)
			if strings.Contains(out.String(), "The ledger balances") || !strings.Contains(out.String(), test.want) {
				t.Errorf("summary:\n%s", &out)
			}
		})
	}
}

// These have no count of their own.
func TestLedgerThatProvesNothing(t *testing.T) {
	tests := map[string]struct {
		spoil func(*ledger)
		want  string
	}{
		"a request is missing from the topic": {func(b *ledger) { b.published++ },
			"acknowledged 8 requests, but the topic holds 7"},
		"the breaker never opened": {func(b *ledger) { b.open = nil }, "the breaker never opened"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := goodLedger()
			test.spoil(&b)
			if r := b.check(); len(r.problems) != 1 || !strings.Contains(r.problems[0], test.want) {
				t.Errorf("problems: %q", r.problems)
			}
		})
	}
}

// Dead letters before, between and after the open times are right, and so are those within a blur of a change.
func TestDeadLettersBesideTheOpenTimes(t *testing.T) {
	for _, at := range []time.Duration{-time.Hour, 0, blur, 4*time.Second - blur, 4500 * time.Millisecond, 5 * time.Second,
		7 * time.Second, time.Hour} {
		b := goodLedger()
		for i := range b.deadLetters {
			b.deadLetters[i].time = noon.Add(at)
		}
		if r := b.check(); !r.balances() {
			t.Errorf("at %v: %q", at, r.problems)
		}
	}
}

func TestManyProblemsAreCountedNotListed(t *testing.T) {
	b := goodLedger()
	b.results, b.deadLetters = nil, nil
	r := b.check()
	if r.lost != 7 || len(r.problems) != shown+1 || r.problems[shown] != "… 7 in all are lost" {
		t.Errorf("%d lost, problems %q", r.lost, r.problems)
	}
}

func TestBreakerLog(t *testing.T) {
	var l breakerLog
	if spans := l.open(noon); len(spans) != 0 || l.total(noon) != 0 {
		t.Fatalf("never opened: %v", spans)
	}
	l.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen, cmsclient.Failing{})
	l.BreakerChanged(cmsclient.BreakerOpen, cmsclient.BreakerHalfOpen, cmsclient.Failing{})
	l.BreakerChanged(cmsclient.BreakerHalfOpen, cmsclient.BreakerOpen, cmsclient.Failing{})
	now := time.Now().Add(time.Hour)
	spans := l.open(now)
	if len(spans) != 2 || spans[0].to.IsZero() || !spans[1].to.Equal(now) || l.total(now) < time.Hour {
		t.Fatalf("open again: %v", spans)
	}
	l.BreakerChanged(cmsclient.BreakerOpen, cmsclient.BreakerHalfOpen, cmsclient.Failing{})
	l.BreakerChanged(cmsclient.BreakerHalfOpen, cmsclient.BreakerClosed, cmsclient.Failing{})
	if spans := l.open(now); len(spans) != 2 || spans[1].to.Equal(now) {
		t.Errorf("closed: %v", spans)
	}
}
