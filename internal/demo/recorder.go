package demo

import (
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// snapshot is all that a view shows, at one moment.
type snapshot struct {
	act     int // index in story
	elapsed time.Duration
	counts
	calls                                             int
	byStatus                                          map[int]int64
	broken                                            int64 // calls without an answer
	requestRate, callRate, resultRate, deadLetterRate float64
	breaker                                           cmsclient.BreakerState
	openFor                                           time.Duration // the breaker, in all
	coolDown                                          time.Duration // what is left of it; 0: none
}

// recorder takes snapshots; one goroutine at a time.
type recorder struct {
	demo  *demo
	cms   func() cmsclient.Status
	began time.Time

	requests, calls, results, deadLetters meter
}

func newRecorder(d *demo, now time.Time) *recorder {
	return &recorder{demo: d, cms: d.cluster.service.Sources().CMS, began: now}
}

func (c *recorder) take(now time.Time) snapshot {
	cms, sim := c.cms(), c.demo.cluster.sim.Simulator().Stats()
	s := snapshot{
		act: int(c.demo.act.Load()), elapsed: now.Sub(c.began), counts: c.demo.progress.counts(now),
		calls: int(sim.Calls), byStatus: sim.ByStatus, broken: sim.Unanswered,
		breaker: cms.Breaker, openFor: c.demo.cluster.breaker.total(now),
	}
	if cms.Cause == cmsclient.CauseThrottled {
		s.coolDown = cms.CoolDownUntil.Sub(now)
	}
	s.requestRate, s.callRate = c.requests.rate(now, s.requests), c.calls.rate(now, s.calls)
	s.resultRate, s.deadLetterRate = c.results.rate(now, s.results), c.deadLetters.rate(now, s.deadLetters)
	return s
}
