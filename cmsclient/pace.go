package cmsclient

import (
	"math"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"golang.org/x/time/rate"
)

// pace says how many calls may be under way at the same time, and how many may be made in a time. All methods require
// the admission's mutex.
//
// The number is the lowest of three: MaxInFlight; what the adaptive limiter finds that the CMS takes without getting
// slower; and, after a pause, a number that grows by the same factor in the same time until it is back at MaxInFlight.
type pace struct {
	cfg      Config
	adaptive adaptivelimiter.AdaptiveLimiter[any] // nil: not wanted

	growFrom  int // calls at growSince
	growSince time.Time
	growTime  time.Duration // from growFrom to MaxInFlight; 0: not growing

	perSecond *rate.Limiter // nil: no limit
	today     time.Time     // the UTC day's beginning
	calls     int           // made today
}

// pacePermit is what the adaptive limiter wants back; it may be nil.
type pacePermit = adaptivelimiter.Permit

func newPace(cfg Config, now time.Time) *pace {
	p := &pace{cfg: cfg, today: startOfDay(now)}
	if cfg.Adaptive {
		most := uint(cfg.MaxInFlight)
		p.adaptive = adaptivelimiter.NewBuilder[any]().
			WithLimits(uint(cfg.MinInFlight), most, most).
			// By default, a quiet hour would bring the limit down to a few calls.
			WithMaxLimitFunc(func(int) float64 { return float64(most) }).
			Build()
	}
	if cfg.Rate > 0 {
		p.perSecond = rate.NewLimiter(rate.Limit(cfg.Rate), max(1, int(cfg.Rate/10))) // bursts of a tenth of a second
	}
	return p
}

// limit returns how many calls may be under way.
func (p *pace) limit(now time.Time) int {
	n := p.cfg.MaxInFlight
	if p.adaptive != nil {
		if found := p.adaptive.Limit(); found < n-n/feelsItsWay {
			n = found
		}
	}
	if p.growTime > 0 {
		if done := float64(now.Sub(p.growSince)) / float64(p.growTime); done >= 1 {
			p.growTime = 0
		} else {
			factor := float64(p.cfg.MaxInFlight) / float64(p.growFrom)
			n = min(n, int(float64(p.growFrom)*math.Pow(factor, max(0, done))))
		}
	}
	return max(n, p.cfg.MinInFlight)
}

// feelsItsWay is the part of MaxInFlight below which a lower limit of the adaptive limiter counts for nothing: with a
// CMS that is well it goes down and up by a step or two all the time, and as soon as one call has to wait for another's
// end, each does: a goroutine put to sleep and woken for every call.
const feelsItsWay = 16

// growsAt returns when to look at limit again, though no call has ended; not after now: there is no need to.
func (p *pace) growsAt(now time.Time) time.Time {
	if p.growTime == 0 {
		return now
	}
	return now.Add(p.growTime/growSteps + time.Microsecond)
}

// growSteps is how often the limit is looked at while it grows.
const growSteps = 32

// restart begins with some calls at since and grows to MaxInFlight.
func (p *pace) restart(calls int, since time.Time, growTime time.Duration) {
	p.growFrom, p.growSince, p.growTime = max(calls, p.cfg.MinInFlight), since, growTime
	if p.adaptive != nil {
		p.adaptive.Reset() // what it has learned is of another time
	}
}

// pausedUntil returns when rate and quota allow the next call; not after now: they do.
func (p *pace) pausedUntil(now time.Time) time.Time {
	if until := p.quotaUntil(now); until.After(now) {
		return until
	}
	if p.perSecond != nil {
		if missing := 1 - p.perSecond.TokensAt(now); missing > 0 {
			return now.Add(time.Duration(missing/p.cfg.Rate*float64(time.Second)) + time.Microsecond)
		}
	}
	return now
}

// quotaUntil returns when the quota allows the next call; not after now: it does.
func (p *pace) quotaUntil(now time.Time) time.Time {
	if p.cfg.DailyQuota == 0 || p.calls < p.cfg.DailyQuota {
		return now
	}
	if today := startOfDay(now); today.After(p.today) {
		p.today, p.calls = today, 0
		return now
	}
	return p.today.AddDate(0, 0, 1)
}

// take accounts for a call that is made.
func (p *pace) take(now time.Time) pacePermit {
	if p.cfg.DailyQuota > 0 {
		if today := startOfDay(now); today.After(p.today) {
			p.today, p.calls = today, 0
		}
		p.calls++
	}
	if p.perSecond != nil {
		p.perSecond.AllowN(now, 1)
	}
	if p.adaptive == nil {
		return nil
	}
	permit, ok := p.adaptive.TryAcquirePermit()
	if !ok {
		return nil // after a Reset it counts the calls of before, too
	}
	return permit
}

// done gives a permit back. Only answers are samples: how long it takes until a caller gives up tells nothing.
func (p *pace) done(permit pacePermit, err error) {
	if permit == nil {
		return
	}
	if signalOf(err) == success {
		permit.Record()
	} else {
		permit.Drop()
	}
}

func startOfDay(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
