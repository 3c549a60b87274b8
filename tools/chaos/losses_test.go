package main

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// again is by how much the requests of the second life are counted on: contracts and fates are the same.
const again = 200

// forgeLoss draws a history of two lives. What was committed in the first one stays so until the second one's first
// commit.
func forgeLoss(t *rapid.T, inTxns bool, lost func(h *history) loss) history {
	f := newForger(t, inTxns)
	f.forge(t, 0)
	l := lost(&f.h)
	l.at = f.tick()
	f.h.losses = append(f.h.losses, l)
	for partition := range int32(forgedParts) {
		f.base[partition] = f.promised[partition]
		if l.hits(partition) {
			f.base[partition], f.outdated[partition] = l.offset, f.promised[partition]
		}
	}
	f.h.requests = slices.DeleteFunc(f.h.requests, func(q request) bool {
		if l.covers(q.position) {
			f.h.gone = append(f.h.gone, q)
			return true
		}
		return false
	})
	f.forge(t, again)
	slices.SortStableFunc(f.h.requests, func(x, y request) int {
		return int(1000*(x.partition-y.partition)) + int(x.offset-y.offset)
	})
	return f.h
}

func created(*history) loss { return loss{partition: wholeTopic} }

// truncated cuts the last three requests of partition 1.
func truncated(h *history) loss {
	end := int64(0)
	for _, q := range h.requests {
		if q.partition == 1 {
			end = max(end, q.offset+1)
		}
	}
	return loss{partition: 1, offset: end - 3, epoch: 5}
}

// Requests that Kafka has lost are not held against a service, answered or not.
func TestOracleKnowsLosses(t *testing.T) {
	for name, lost := range map[string]func(*history) loss{"created": created, "truncated": truncated} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				inTxns := rapid.Bool().Draw(t, "exactly-once")
				h, r := forgeLoss(t, inTxns, lost), promised
				r.exactlyOnce = inTxns
				if !inTxns && rapid.Bool().Draw(t, "unanswered") {
					unanswer(&h)
				}
				v := evaluate(h, r)
				if len(v.findings) > 0 || v.gone != len(h.gone) || v.gone == 0 || v.requests+v.gone != h.published {
					t.Fatalf("%d gone: %+v", v.gone, v.findings)
				}
			})
		})
	}
}

// unanswer takes the outcome of the last request that is gone away, and all that was committed behind it before.
func unanswer(h *history) {
	q := h.gone[len(h.gone)-1]
	dead, above := q.fate != answered, int64(0)
	for i := range h.outcomes {
		if o := h.outcomes[i]; o.seq == q.seq && o.dead == dead {
			above = max(above, o.ended)
		}
	}
	h.outcomes = slices.DeleteFunc(h.outcomes, func(o outcome) bool { return o.seq == q.seq })
	h.commits = slices.DeleteFunc(h.commits, func(c commit) bool {
		return c.partition == q.partition && c.offset > q.offset && c.at < h.losses[0].at
	})
	for i := range h.samples {
		if s := h.samples[i]; s.at < h.losses[0].at && s.committed[q.partition] > q.offset {
			s.committed[q.partition] = q.offset
		}
	}
}

func TestOracleConvictsBehindLosses(t *testing.T) {
	late := func(h *history, a about) { // an offset of the first life, committed in the second one before anything else
		q := slices.MaxFunc(h.gone, func(x, y request) int {
			return int(1000*(x.partition-y.partition)) + int(
				x.offset-y.offset)
		})
		at := h.losses[0].at
		h.commits = append(h.commits, commit{q.partition, q.offset + 1, at, at, a})
	}
	tests := map[string]struct {
		promise string // empty: it is none
		inTxns  bool
		lost    func(*history) loss
		forge   func(t *rapid.T, h *history)
	}{
		"request of the new topic lost": {promise: promiseLost, lost: created, forge: func(t *rapid.T, h *history) {
			seq := anyRequest(t, h).seq
			h.outcomes = slices.DeleteFunc(h.outcomes, func(o outcome) bool { return o.seq == seq })
		}},
		"request behind the cut lost": {promise: promiseLost, lost: truncated, forge: func(_ *rapid.T, h *history) {
			h.outcomes = slices.DeleteFunc(h.outcomes, func(o outcome) bool {
				return o.seq >= again && o.source.partition == 1 && o.source.offset < h.losses[0].offset+3
			})
		}},
		"repeated in exactly-once": {promise: promiseRepeated, inTxns: true, lost: truncated,
			forge: func(t *rapid.T, h *history) {
				appendOutcome(h, anyOutcome(t, h))
			}},
		"read again from the start": {promise: promiseReread, lost: truncated, forge: func(_ *rapid.T, h *history) {
			for _, o := range slices.Clone(h.outcomes) {
				if o.source.partition == 1 && o.seq < again {
					o.written = h.ended + promised.stale.Milliseconds()
					appendOutcome(h, o)
				}
			}
		}},
		"one id for two requests": {promise: promiseIDs, lost: created, forge: func(_ *rapid.T, h *history) {
			dead := h.outcomes[0].dead
			i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.dead == dead && o.seq >= again })
			h.outcomes[i].id = h.outcomes[0].id
		}},
		"gone without a loss": {promise: promisePublished, lost: created, forge: func(_ *rapid.T, h *history) {
			h.losses = nil
			for i := range h.requests {
				h.requests[i].life = 0
			}
		}},
		"gone below the cut": {promise: promisePublished, lost: truncated, forge: func(_ *rapid.T, h *history) {
			i := slices.IndexFunc(h.requests, func(q request) bool { return q.partition == 1 })
			h.gone, h.requests = append(h.gone, h.requests[i]), slices.Delete(h.requests, i, i+1)
		}},
		"gone in the next life": {promise: promisePublished, lost: created, forge: func(t *rapid.T, h *history) {
			i := rapid.IntRange(0, len(h.requests)-1).Draw(t, "victim")
			h.gone, h.requests = append(h.gone, h.requests[i]), slices.Delete(h.requests, i, i+1)
		}},
		"source of the old topic": {promise: promiseKnown, lost: truncated, forge: func(_ *rapid.T, h *history) {
			i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.seq == h.gone[0].seq })
			h.outcomes[i].source.offset += 100
		}},
		"old offset on the new topic": {promise: promiseCommits, lost: created,
			forge: func(_ *rapid.T, h *history) { late(h, unsaid) }},
		"old offset with the new topic's id": {promise: promiseCommits, lost: created,
			forge: func(_ *rapid.T, h *history) { late(h, about{-1, 1}) }},
		"old offset with the old topic's id": {lost: created, forge: func(_ *rapid.T, h *history) { late(h, about{-1, 0}) }},
		"old offset in the truncated log": {promise: promiseCommits, lost: truncated,
			forge: func(_ *rapid.T, h *history) { late(h, unsaid) }},
		"old offset with the new epoch": {promise: promiseCommits, lost: truncated,
			forge: func(_ *rapid.T, h *history) { late(h, about{5, -1}) }},
		"old offset with the old epoch": {lost: truncated, forge: func(_ *rapid.T, h *history) { late(h, about{4, -1}) }},
		"never committed behind the cut": {promise: promiseCommitted, lost: truncated,
			forge: func(_ *rapid.T, h *history) { h.samples[len(h.samples)-1].committed[1] = h.losses[0].offset }},
		"outcome ahead of its new offset": {promise: promiseTogether, inTxns: true, lost: created,
			forge: func(t *rapid.T, h *history) {
				q := anyRequest(t, h)
				h.commits = slices.DeleteFunc(h.commits, func(c commit) bool {
					return c.partition == q.partition &&
						c.at > h.losses[0].at
				})
			}},
		"out of order in the new topic": {promise: promiseOrder, lost: created, forge: func(_ *rapid.T, h *history) {
			swapTwo(h, again+3, again+53)
		}},
		"an old request behind a new one": {lost: created, forge: func(_ *rapid.T, h *history) {
			i := slices.IndexFunc(h.outcomes, func(o outcome) bool { return o.seq == 53 })
			o := h.outcomes[i]
			h.outcomes = slices.Delete(h.outcomes, i, i+1)
			h.commits = slices.DeleteFunc(h.commits, func(c commit) bool {
				return c.partition == o.source.partition &&
					c.at < h.losses[0].at
			})
			h.samples = h.samples[len(h.samples)-1:]
			o.written = h.ended
			appendOutcome(h, o)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				h, r := forgeLoss(t, test.inTxns, test.lost), promised
				r.exactlyOnce = test.inTxns
				test.forge(t, &h)
				v := evaluate(h, r)
				if test.promise == "" && len(v.findings) > 0 {
					t.Fatalf("%+v", v.findings)
				}
				if test.promise != "" && !slices.ContainsFunc(v.findings,
					func(f finding) bool { return f.promise == test.promise }) {
					t.Fatalf("not found; found %+v", v.findings)
				}
			})
		})
	}
}
