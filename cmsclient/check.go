package cmsclient

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// FieldError says that a field of Config cannot be used as it is. It comes in parts, for callers who know the field by
// another name, such as a key of a file.
type FieldError struct {
	Field string   // "URL", "Breaker.Window"
	With  []string // fields that it contradicts: to change one of them helps too
	What  string   // goes on after the field's name: "0s is too little"
	Fix   string   // "set at least 1ms"
}

// Error returns one line.
func (e *FieldError) Error() string { return e.Field + ": " + e.What + "; " + e.Fix }

// The limits of all settings of a kind.
const (
	shortest         = time.Millisecond
	longest          = time.Hour
	mostCalls        = 65536 // at the same time
	mostAnswer       = math.MaxInt32
	leastAnswer      = 1 << 10
	mostDailyQuota   = 1_000_000_000
	mostBreakerCalls = 1_000_000
	mostRetryShare   = 10
)

// Check returns what is wrong with the settings, first with each by itself, then with pairs of those that are fine.
func (s Settings) Check(name FieldName) []*FieldError {
	c := checks{name: name}
	if _, err := parseBase(s.URL); err != nil {
		c.found = append(c.found, err)
	}
	limit(&c, "MaxInFlight", s.MaxInFlight, 1, mostCalls)
	limit(&c, "MinInFlight", s.MinInFlight, 1, mostCalls)
	limit(&c, "SlowStart", s.SlowStart, 0, longest)
	c.positive("Rate", s.Rate, true, math.MaxFloat64)
	limit(&c, "DailyQuota", s.DailyQuota, 0, mostDailyQuota)
	c.positive("RetryShare", s.RetryShare, false, mostRetryShare)
	limit(&c, "HedgeAfter", s.HedgeAfter, 0, longest)
	limit(&c, "Timeout", s.Timeout, shortest, longest)
	limit(&c, "MaxResponseBytes", s.MaxResponseBytes, leastAnswer, mostAnswer)
	limit(&c, "CoolDown", s.CoolDown, shortest, longest)
	limit(&c, "MaxCoolDown", s.MaxCoolDown, shortest, longest)
	limit(&c, "ProbeInterval", s.ProbeInterval, shortest, longest)
	s.Breaker.check(&c)

	ordered(&c, "MinInFlight", s.MinInFlight, "MaxInFlight", s.MaxInFlight)
	ordered(&c, "CoolDown", s.CoolDown, "MaxCoolDown", s.MaxCoolDown)
	ordered(&c, "Breaker.OpenTime", s.Breaker.OpenTime, "Breaker.MaxOpenTime", s.Breaker.MaxOpenTime)
	s.checkTimeout(&c)
	return c.found
}

func (b BreakerSettings) check(c *checks) {
	limit(c, "Breaker.Window", b.Window, minWindow, longest)
	limit(c, "Breaker.MinCalls", b.MinCalls, 1, mostBreakerCalls)
	c.positive("Breaker.FailureRatio", b.FailureRatio, false, 1)
	limit(c, "Breaker.SlowCall", b.SlowCall, 0, longest)
	c.positive("Breaker.SlowRatio", b.SlowRatio, false, 1)
	limit(c, "Breaker.OpenTime", b.OpenTime, shortest, longest)
	limit(c, "Breaker.MaxOpenTime", b.MaxOpenTime, shortest, longest)
}

// checkTimeout checks what has to be longer or shorter than an attempt may take.
func (s Settings) checkTimeout(c *checks) {
	timeout := c.name.of("Timeout")
	for _, f := range []struct {
		field string
		after time.Duration
	}{{"HedgeAfter", s.HedgeAfter}, {"Breaker.SlowCall", s.Breaker.SlowCall}} {
		c.pair(f.after > 0 && f.after >= s.Timeout, f.field, "Timeout",
			fmt.Sprintf("%s is not below %s (%s), when a call has ended anyway", show(f.after), timeout, show(s.Timeout)),
			"lower it, or set 0s to do without")
	}
	// The breaker counts a call in the part of its window in which the call began.
	c.pair(s.Breaker.Window < 2*s.Timeout, "Breaker.Window", "Timeout",
		fmt.Sprintf("%s is less than twice %s (%s), so calls that time out would be forgotten before they are counted",
			show(s.Breaker.Window), timeout, show(s.Timeout)), "set at least "+show(2*s.Timeout))
}

// checks collects what is found.
type checks struct {
	name  FieldName
	found []*FieldError
}

func (c *checks) add(field, what, fix string) {
	c.found = append(c.found, &FieldError{Field: field, What: what, Fix: fix})
}

// pair adds what is wrong with two fields, unless one of them has been found already.
func (c *checks) pair(wrong bool, field, with, what, fix string) {
	known := func(e *FieldError) bool { return len(e.With) == 0 && (e.Field == field || e.Field == with) }
	if wrong && !slices.ContainsFunc(c.found, known) {
		c.found = append(c.found, &FieldError{Field: field, With: []string{with}, What: what, Fix: fix})
	}
}

// positive wants a number above 0, or 0 where that has a meaning too.
func (c *checks) positive(field string, x float64, orZero bool, most float64) {
	if x > 0 && x <= most || x == 0 && orZero { // written so that NaN fails
		return
	}
	fix := fmt.Sprintf("write a number above 0 and at most %v", most)
	if orZero {
		fix = "write a number, 0 or more"
	}
	c.add(field, fmt.Sprintf("%v is out of range", x), fix)
}

// limit wants a value within limits, both of which are allowed.
func limit[T int | int64 | time.Duration](c *checks, field string, v, lowest, highest T) {
	switch {
	case v < lowest:
		c.add(field, show(v)+" is too little", "set at least "+show(lowest))
	case v > highest:
		c.add(field, show(v)+" is too much", "set at most "+show(highest))
	}
}

// ordered wants low not to be above high.
func ordered[T cmp.Ordered](c *checks, low string, l T, high string, h T) {
	c.pair(l > h, low, high, fmt.Sprintf("%s is above %s (%s)", show(l), c.name.of(high), show(h)),
		"lower it or raise the other")
}

// show writes a value as people do: 1m, not 1m0s.
func show(v any) string {
	text := fmt.Sprint(v)
	if _, ok := v.(time.Duration); ok && text != "0s" {
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-len("0s")]
			}
		}
	}
	return text
}
