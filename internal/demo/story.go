package demo

import (
	"context"
	"errors"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// phase is one act of the story.
type phase struct {
	name  string        // one or two words
	says  string        // what happens, one sentence
	watch string        // what to look at
	lasts time.Duration // 0: until its work is done
	begin func(*cluster, *traffic)
}

const (
	rate      = 300 // requests a second
	drainRate = 20  // while the last failing requests use up their attempts
	// The trickle may take trickleLimit, and what is open then drainLimit more. The ledger calls lost what has no answer
	// then.
	trickleLimit = 30 * time.Second
	drainLimit   = 20 * time.Second
	outageTime   = 6 * time.Second
	retryAfter   = 2 // seconds
)

// Acts that end when their work is done.
var (
	actDrain = len(story) - 2
	actCheck = len(story) - 1
)

// story is what the demo shows, in order.
var story = []phase{
	{
		name: "normal", lasts: 6 * time.Second,
		says:  "300 requests a second, one in seven with something wrong.",
		watch: "each request becomes one result or one dead letter.",
		begin: func(s *cluster, t *traffic) {
			s.sim.Simulator().AddFault(cmssim.Fault{
				Effect: cmssim.EffectStatus, Status: 500, Match: cmssim.Match{Contracts: failingContracts},
			})
			t.pace(rate, false)
		},
	},
	{
		name: "outage", lasts: outageTime,
		says:  "The CMS is down (503, broken connections); requests go on.",
		watch: "the breaker opens, the lag grows, and dead letters stop.",
		begin: func(s *cluster, _ *traffic) {
			sim := s.sim.Simulator()
			sim.AddFault(cmssim.Fault{Effect: cmssim.EffectReset, Match: cmssim.Match{Percent: 30}, For: outageTime})
			sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: 503, For: outageTime})
		},
	},
	{
		name: "recovery", lasts: 7 * time.Second,
		says:  "The CMS is back: a request probes it, the breaker closes.",
		watch: "the backlog drains: the lag falls back to zero.",
	},
	{
		name: "throttled", lasts: 5 * time.Second,
		says:  "For a moment the CMS says 429, Retry-After: 2.",
		watch: "all calls pause together; the breaker stays closed.",
		begin: func(s *cluster, _ *traffic) {
			s.sim.Simulator().AddFault(cmssim.Fault{
				Effect: cmssim.EffectStatus, Status: 429, RetryAfter: retryAfter, For: 300 * time.Millisecond,
			})
		},
	},
	{
		name:  "drain",
		says:  "The traffic ends; the last requests are answered.",
		watch: "the lag goes to zero.",
		begin: func(_ *cluster, t *traffic) { t.pace(drainRate, true) },
	},
	{
		name:  "check",
		says:  "The service stops; the topics are read and compared.",
		watch: "the summary that follows.",
	},
}

// expected is about how long all of it takes; the acts without a length take a few seconds.
func expected() time.Duration {
	sum := 2 * time.Second
	for _, p := range story {
		sum += p.lasts
	}
	return sum
}

// play goes through the acts that have a length, and drains.
func (d *demo) play(ctx context.Context) error {
	for act, p := range story {
		if p.lasts == 0 {
			break
		}
		d.begin(act)
		never := func() bool { return false }
		if err := d.cluster.wait(ctx, p.lasts, never); !errors.Is(err, errBudget) {
			return err
		}
	}
	return d.drain(ctx)
}

// drain ends the traffic and waits for the last answers. A request that fails uses up its attempts only while others
// are answered (else it could not be told from an outage), so a little good traffic goes on until the failing ones are
// done.
func (d *demo) drain(ctx context.Context) error {
	d.begin(actDrain)
	err := d.cluster.wait(ctx, trickleLimit, func() bool { return d.progress.waiting(failing) == 0 })
	d.traffic.pace(0, true)
	if err == nil || errors.Is(err, errBudget) {
		err = d.cluster.wait(ctx, drainLimit, func() bool { return d.progress.lag() == 0 })
	}
	if errors.Is(err, errBudget) {
		return nil // the ledger will tell
	}
	return err
}

// begin starts an act.
func (d *demo) begin(act int) {
	d.act.Store(int32(act))
	if begin := story[act].begin; begin != nil {
		begin(d.cluster, d.traffic)
	}
}
