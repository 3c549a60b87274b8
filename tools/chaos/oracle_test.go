package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A service that keeps its promises is never accused.
func TestOracleAcquits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inTxns := rapid.Bool().Draw(t, "exactly-once")
		h, r := forge(t, inTxns), promised
		r.exactlyOnce = inTxns
		v := evaluate(h, r)
		if len(v.findings) > 0 || inTxns && v.repeated > 0 {
			t.Fatalf("%+v", v.findings)
		}
		if v.requests != h.published || v.results+v.deadLetters != v.requests+v.repeated ||
			v.checked != len(h.commits) || v.sampled != offsets(h.samples) {
			t.Fatalf("miscounted: %+v", v)
		}
	})
}

func offsets(samples []sample) (n int) {
	for _, s := range samples {
		n += len(s.committed)
	}
	return n
}

// Whatever breaks one promise is found, and named.
func TestOracleConvicts(t *testing.T) {
	tests := map[string]struct {
		promise string
		inTxns  bool
		forge   func(t *rapid.T, h *history)
	}{
		"request lost": {promise: promiseLost, forge: func(t *rapid.T, h *history) {
			seq := anyRequest(t, h).seq
			h.outcomes = slices.DeleteFunc(h.outcomes, func(o outcome) bool { return o.seq == seq })
		}},
		"another contract's balances": {promise: promiseOwn, forge: func(t *rapid.T, h *history) {
			for i := range h.outcomes {
				if o := &h.outcomes[i]; !o.dead && o.contract != "100001" {
					o.balances = balancesOf("100001")
					break
				}
			}
		}},
		"one balance of two": {promise: promiseOwn, forge: func(t *rapid.T, h *history) {
			i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return !o.dead })
			h.outcomes[i].balances = fmt.Sprint([]balance{{"AVAILABLE", "1", "EUR", "1.00"}})
		}},
		"another request's key": {promise: promiseOwn, forge: func(t *rapid.T, h *history) {
			anyDeadLetter(t, h).key = "100001"
		}},
		"everything lost": {promise: promiseLost, forge: func(_ *rapid.T, h *history) { h.outcomes = nil }},
		"repeated beyond the bound": {promise: promiseRepeated, forge: func(t *rapid.T, h *history) {
			again := anyOutcome(t, h)
			h.broken = nil
			appendOutcome(h, again)
		}},
		"one beyond the bound": {promise: promiseRepeated, forge: func(t *rapid.T, h *history) {
			again := anyOutcome(t, h)
			again.written = h.ended + 1 // after all faults
			for v := evaluate(*h, promised); v.repeated <= v.bound; v.repeated++ {
				appendOutcome(h, again)
			}
		}},
		"repeated in exactly-once": {promise: promiseRepeated, inTxns: true, forge: func(t *rapid.T, h *history) {
			appendOutcome(h, anyOutcome(t, h))
		}},
		"out of order": {promise: promiseOrder, forge: func(t *rapid.T, h *history) {
			swapTwoOfOneContract(h)
		}},
		"another partition": {promise: promiseOrder, forge: func(_ *rapid.T, h *history) {
			// Order across partitions cannot be seen, so the contract's outcomes have to share one.
			i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.seq == 53 }) // the second of contract 100003
			h.outcomes[i].partition = forgedParts
		}},
		"whileOpen while open": {promise: promiseWhileOpen, forge: func(t *rapid.T, h *history) {
			d := time.UnixMilli(anyDeadLetter(t, h).written)
			h.open["w1"] = []period{{d.Add(-time.Hour), d.Add(-time.Minute)},
				{d.Add(-promised.slack - 1), d.Add(promised.slack + 1)}}
		}},
		"whileOpen by a stranger": {promise: promiseWhileOpen, forge: func(_ *rapid.T, h *history) { delete(h.open, "w1") }},
		"commit before the write": {promise: promiseCommits, forge: func(t *rapid.T, h *history) {
			q := anyRequest(t, h)
			h.commits = append(h.commits, commit{q.partition, q.offset + 1, firstWrite(h, q.seq) - 1, 0, unsaid})
		}},
		"transaction ended before the write": {promise: promiseCommits, inTxns: true, forge: func(t *rapid.T, h *history) {
			q := anyRequest(t, h)
			at := firstWrite(h, q.seq) - 1
			h.commits = append(h.commits, commit{q.partition, q.offset + 1, at, at, unsaid})
		}},
		"offset ahead of its outcome's transaction": {promise: promiseCommits, inTxns: true,
			forge: func(t *rapid.T, h *history) {
				// The outcome is written by a transaction behind the one that has its offset.
				o := anyOutcomeIn(t, h)
				for _, c := range h.commits {
					o.written = max(o.written, c.ended+1)
				}
				o.ended = o.written + 1
			}},
		"outcome ahead of its offset's transaction": {promise: promiseTogether, inTxns: true,
			forge: func(t *rapid.T, h *history) {
				o := anyOutcomeIn(t, h)
				for _, c := range h.commits {
					if c.partition == o.source.partition && c.offset > o.source.offset {
						o.ended = min(o.ended, c.at-1)
					}
				}
			}},
		"outcome in no transaction": {promise: promiseTogether, inTxns: true, forge: func(t *rapid.T, h *history) {
			o := anyOutcomeIn(t, h)
			o.inOne = false
		}},
		"outcome whose offset is never committed": {promise: promiseTogether, inTxns: true,
			forge: func(t *rapid.T, h *history) {
				q := anyRequest(t, h)
				h.commits = slices.DeleteFunc(h.commits, func(c commit) bool { return c.partition == q.partition })
			}},
		"commit of what is not written": {promise: promiseCommits, forge: func(t *rapid.T, h *history) {
			q := anyRequest(t, h)
			h.outcomes = slices.DeleteFunc(h.outcomes, func(o outcome) bool { return o.seq == q.seq })
			h.commits = nil
		}},
		"sample ahead": {promise: promiseCommits, forge: func(t *rapid.T, h *history) {
			q := anyRequest(t, h)
			early := sample{0, map[int32]int64{q.partition: q.offset + 1}, map[target]int64{}}
			for _, o := range h.outcomes { // everything but this request's outcome
				if at := (target{o.dead, o.partition}); o.seq == q.seq {
					early.ends[at] = o.offset
					break
				}
			}
			h.samples = append([]sample{early}, h.samples...)
			h.commits = nil
		}},
		"no commit seen": {promise: promiseCommits, forge: func(_ *rapid.T, h *history) { h.commits, h.samples = nil, nil }},
		"not committed in the end": {promise: promiseCommitted, forge: func(_ *rapid.T, h *history) {
			h.samples[len(h.samples)-1].committed[1]--
		}},
		"never committed": {promise: promiseCommitted, forge: func(_ *rapid.T, h *history) {
			delete(h.samples[len(h.samples)-1].committed, 2)
		}},
		"blamed on an outage": {promise: promiseFate, forge: func(t *rapid.T, h *history) {
			i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return !o.dead })
			h.outcomes[i].dead, h.outcomes[i].reason, h.outcomes[i].instance = true, "attempts-exhausted", "w1"
		}},
		"refused before anything was": {promise: promiseFate, forge: func(t *rapid.T, h *history) {
			o := refuseOne(h)
			h.injected = []injection{{fault{name: refuse}, period{time.UnixMilli(o.written + 1), time.UnixMilli(h.ended)}}}
		}},
		"refused in an outage": {promise: promiseFate, forge: func(t *rapid.T, h *history) {
			o := refuseOne(h)
			h.injected = []injection{{fault{name: "outage"}, period{time.UnixMilli(o.written), time.UnixMilli(h.ended)}}}
		}},
		"wrong reason": {promise: promiseFate,
			forge: func(t *rapid.T, h *history) { anyDeadLetter(t, h).reason = "internal-error" }},
		"answered an unknown contract": {promise: promiseFate,
			forge: func(t *rapid.T, h *history) { anyDeadLetter(t, h).dead = false }},
		"outcome of no request": {promise: promiseKnown,
			forge: func(t *rapid.T, h *history) { anyOutcomeIn(t, h).seq = 1 << 30 }},
		"another's contract": {promise: promiseKnown,
			forge: func(t *rapid.T, h *history) { anyOutcomeIn(t, h).contract = "1" }},
		"another's source": {promise: promiseKnown,
			forge: func(t *rapid.T, h *history) { anyOutcomeIn(t, h).source.offset++ }},
		"request not in the log": {promise: promisePublished, forge: func(_ *rapid.T, h *history) { h.published++ }},
		"nothing published":      {promise: promisePublished, forge: func(_ *rapid.T, h *history) { *h = history{} }},
		"request twice in the log": {promise: promisePublished, forge: func(_ *rapid.T, h *history) {
			h.requests = append(h.requests, h.requests[0])
		}},
		"requests out of order": {promise: promisePublished, forge: func(_ *rapid.T, h *history) {
			h.requests[0].seq, h.requests[1].seq = h.requests[1].seq, h.requests[0].seq
		}},
		"a worker's end": {promise: promiseWorkers,
			forge: func(_ *rapid.T, h *history) { h.incidents = []string{"w1 ended"} }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				h, r := forge(t, test.inTxns), promised
				r.exactlyOnce = test.inTxns
				test.forge(t, &h)
				v := evaluate(h, r)
				if !slices.ContainsFunc(v.findings, func(f finding) bool { return f.promise == test.promise }) {
					t.Fatalf("not found; found %+v", v.findings)
				}
			})
		})
	}
}

func anyRequest(t *rapid.T, h *history) request {
	return rapid.SampledFrom(h.requests).Draw(t, "victim")
}

func anyOutcomeIn(t *rapid.T, h *history) *outcome {
	return &h.outcomes[rapid.IntRange(0, len(h.outcomes)-1).Draw(t, "victim")]
}

func anyOutcome(t *rapid.T, h *history) outcome { return *anyOutcomeIn(t, h) }

func anyDeadLetter(t *rapid.T, h *history) *outcome {
	var dead []*outcome
	for i := range h.outcomes {
		if h.outcomes[i].dead {
			dead = append(dead, &h.outcomes[i])
		}
	}
	return rapid.SampledFrom(dead).Draw(t, "dead letter")
}

// appendOutcome puts an outcome at the end of its partition.
func appendOutcome(h *history, o outcome) {
	at := 0
	for i, other := range h.outcomes {
		if other.dead == o.dead && other.partition == o.partition {
			at, o.offset = i+1, other.offset+1
		}
	}
	h.outcomes = slices.Insert(h.outcomes, at, o)
}

func firstWrite(h *history, seq int) int64 {
	i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.seq == seq })
	return h.outcomes[i].written
}

// swapTwoOfOneContract exchanges the first outcomes of the first two requests of a contract.
func swapTwoOfOneContract(h *history) { swapTwo(h, 3, 53) } // requests of contract 100003

func swapTwo(h *history, first, second int) {
	a := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.seq == first })
	b := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.seq == second })
	x, y := &h.outcomes[a], &h.outcomes[b]
	x.seq, y.seq, x.source, y.source = y.seq, x.seq, y.source, x.source
}

// refuseOne makes a dead letter of the result of a contract that may be refused.
func refuseOne(h *history) *outcome {
	i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.seq == 37 })
	o := h.outcomes[i]
	o.dead, o.reason, o.instance = true, refusedReason, "w1"
	// Repetitions go, too: they would be its first result then, behind later requests of its contract.
	h.outcomes = slices.DeleteFunc(h.outcomes, func(o outcome) bool { return o.seq == 37 })
	appendOutcome(h, o)
	i = slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.dead && o.seq == 37 })
	return &h.outcomes[i]
}

// A contract that a gateway has refused is due a dead letter or a result.
func TestOracleKnowsRefusals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := forge(t, false)
		o := refuseOne(&h)
		h.samples = h.samples[len(h.samples)-1:]
		h.samples[0].ends[target{true, o.partition}] = o.offset + 1
		h.injected = []injection{{fault{name: refuse}, period{time.UnixMilli(o.written), time.UnixMilli(o.written + 9)}}}
		if v := evaluate(h, promised); len(v.findings) > 0 {
			t.Fatalf("%+v", v.findings)
		}
	})
}

// The margins: what lies exactly on a bound is no violation.
func TestOracleMargins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := forge(t, false)
		q := anyRequest(t, &h)
		written := int64(0)
		for _, other := range h.requests {
			if other.partition == q.partition && other.offset <= q.offset {
				written = max(written, firstWrite(&h, other.seq))
			}
		}
		// within the millisecond of the last write
		h.commits = append(h.commits, commit{q.partition, q.offset + 1, written, written, unsaid})
		var decided []time.Time
		for _, o := range h.outcomes {
			if o.dead {
				decided = append(decided, time.UnixMilli(o.written))
			}
		}
		first, last := slices.MinFunc(decided, time.Time.Compare), slices.MaxFunc(decided, time.Time.Compare)
		h.open["w1"] = []period{{first.Add(-time.Hour), first.Add(promised.slack)},
			{last.Add(-promised.slack), last.Add(time.Hour)}}
		if v := evaluate(h, promised); len(v.findings) > 0 {
			t.Fatalf("%+v", v.findings)
		}
	})
}
