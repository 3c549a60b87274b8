package telemetry

import (
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
)

// outageLog tells of outages of the CMS: each beginning and end, and of what lies between one line a minute at most.
// While the CMS is down its breaker is probed, and opens again, every few seconds. The CMS client tells of one change
// at a time, so it needs no lock.
type outageLog struct {
	log    zerolog.Logger
	opened time.Time // zero: the breaker is closed
	probes int       // that have failed since
	said   time.Time // when it was last told at a level above debug that it is open
	halted time.Time // since when; zero: not
	paused time.Time // when it was last told that calls pause after a 429
}

// outageSummary is how often a long outage is told of.
const outageSummary = time.Minute

// breaker tells of a change of the circuit breaker.
func (o *outageLog) breaker(from, to cmsclient.BreakerState, failing cmsclient.Failing, now time.Time) {
	about := o.log.With().Stringer("from", from).Stringer("to", to).Str("cause", failing.Cause).
		Int("status", failing.Status).Time("since", failing.Since).Logger()
	switch {
	case to == cmsclient.BreakerClosed:
		about.Info().Str("event", "breaker_closed").Int("probes", o.probes).
			Int64("open_ms", now.Sub(o.opened).Milliseconds()).
			Msg("the circuit breaker closed: consumption goes on")
		o.opened, o.probes = time.Time{}, 0
	case to == cmsclient.BreakerHalfOpen:
		level := zerolog.DebugLevel
		if o.probes == 0 {
			level = zerolog.InfoLevel
		}
		about.WithLevel(level).Str("event", "breaker_half_open").
			Msg("the circuit breaker is half-open: waiting requests probe the CMS")
	case o.opened.IsZero():
		o.opened, o.said = now, now
		about.Warn().Str("event", "breaker_opened").
			Msg("the circuit breaker opened: the CMS fails, so consumption pauses; nothing is dead-lettered meanwhile")
	default:
		o.probes++
		level := zerolog.DebugLevel
		if now.Sub(o.said) >= outageSummary {
			level, o.said = zerolog.WarnLevel, now
		}
		about.WithLevel(level).Str("event", "breaker_still_open").Int("probes", o.probes).
			Int64("open_ms", now.Sub(o.opened).Milliseconds()).
			Msg("the circuit breaker opened again: the CMS still fails, and consumption stays paused")
	}
}

// halt tells that the CMS refuses this service.
func (o *outageLog) halt(err error, now time.Time) {
	o.halted = now
	status := 0
	if e, ok := errors.AsType[*cmsclient.Error](err); ok {
		status = e.Status
	}
	o.log.Error().Str("event", "cms_halted").Err(err).Int("status", status).Time("since", now).
		Msg("halted: the CMS refuses this service, not its requests; consumption pauses and goes on by itself when this " +
			"is fixed")
}

// resume tells of the end of that.
func (o *outageLog) resume(now time.Time) {
	o.log.Info().Str("event", "cms_resumed").Time("since", o.halted).
		Int64("halted_ms", now.Sub(o.halted).Milliseconds()).Msg("the CMS answers again: no longer halted")
}

// throttle tells of a pause after a 429, once in a while: where the CMS takes fewer calls than there are to make, one
// follows the other.
func (o *outageLog) throttle(until, now time.Time) {
	if now.Sub(o.paused) < outageSummary {
		return
	}
	o.paused = now
	o.log.Warn().Str("event", "cms_throttled").Time("until", until).
		Msg("the CMS says 429, too many calls: all of them pause, and half as many go on; told once a minute")
}
