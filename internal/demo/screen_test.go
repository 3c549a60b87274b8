package demo

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

// busy is a snapshot with long numbers everywhere.
func busy(act int) snapshot {
	return snapshot{
		act: act, elapsed: 13 * time.Second,
		counts: counts{
			requests: 12_345, lag: 2_345, results: 9_876, deadLetters: 1_234,
			outcomes: map[string]int{schemas.OutcomeComplete: 8_888, schemas.OutcomePartial: 988},
			reasons:  map[schemas.Reason]int{schemas.ReasonAttemptsExhausted: 1_111},
			p50:      1234 * time.Millisecond, p99: 56 * time.Second,
		},
		calls: 11_111, byStatus: map[int]int64{200: 10_000, 404: 1_000, 429: 1_000, 500: 1_000, 503: 111}, broken: 1_222,
		requestRate: 1300, callRate: 1234, resultRate: 1234, deadLetterRate: 1234,
		breaker: cmsclient.BreakerOpen, openFor: 13 * time.Second,
	}
}

func plainPainter() painter { return newPainter(lipgloss.NewRenderer(io.Discard)) }

// throttled stands for a closed breaker in a cool-down.
const throttled cmsclient.BreakerState = -1

// On 80×24 nothing may wrap, be cut off or fall off the lower edge, in no act and no state of the breaker.
func TestScreenFits(t *testing.T) {
	p := plainPainter()
	for act := range story {
		for _, breaker := range append(cmsclient.BreakerStates, throttled) {
			s := busy(act)
			if s.breaker = breaker; breaker == throttled {
				s.breaker, s.coolDown = cmsclient.BreakerClosed, 1900*time.Millisecond
			}
			wide, narrow := p.screen(s, 200), p.screen(s, 80)
			lines := strings.Split(narrow, "\n")
			if len(lines) > 24 {
				t.Errorf("%s, %s: %d lines", story[act].name, breaker, len(lines))
			}
			for _, line := range lines {
				if w := lipgloss.Width(line); w > 79 {
					t.Errorf("%s, %s: %d columns in %q", story[act].name, breaker, w, line)
				}
			}
			if words(narrow) != words(wide) {
				t.Errorf("%s, %s: cut off at 80 columns:\n%s", story[act].name, breaker, narrow)
			}
		}
	}
}

// words is a screen's text without what depends on its width.
func words(screen string) string {
	return strings.Map(func(c rune) rune {
		drawing := c >= 0x2500 && c < 0x2600 && c != '▶' && c != '●'
		if drawing || c == ' ' || c == '\n' {
			return -1
		}
		return c
	}, screen)
}

func TestScreenOnNarrowTerminals(t *testing.T) {
	for _, width := range []int{1, 20, 60, 79} {
		for _, line := range strings.Split(plainPainter().screen(busy(1), width), "\n") {
			if w := lipgloss.Width(line); w > max(1, width-1) {
				t.Errorf("at %d: %d columns in %q", width, w, line)
			}
		}
	}
}

func TestScreenSaysWhatTheBreakerMeans(t *testing.T) {
	p := plainPainter()
	for state, want := range map[cmsclient.BreakerState]string{
		cmsclient.BreakerOpen:     "● OPEN  consumption pauses; nothing is dead-lettered",
		cmsclient.BreakerClosed:   "● CLOSED  calls go through",
		cmsclient.BreakerHalfOpen: "● HALF-OPEN  one waiting request probes the CMS",
	} {
		s := busy(1)
		s.breaker = state
		screen := p.screen(s, 80)
		if !strings.Contains(screen, want) {
			t.Errorf("%s:\n%s", state, screen)
		}
		if strings.Contains(screen, "╳") != (state == cmsclient.BreakerOpen) {
			t.Errorf("%s: arrows:\n%s", state, screen)
		}
	}
}

func TestPlainLine(t *testing.T) {
	s := busy(1)
	s.breaker, s.coolDown = cmsclient.BreakerClosed, 1500*time.Millisecond
	got := plainLine(s)
	for _, want := range []string{"13s", "requests 12345", "results  9876", "dead letters 1234", "lag 2345",
		"p50 1.2 s p99 56.0 s", "breaker closed, calls pause 1.5 s"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	b := newProgress()
	for i, k := range []kind{good, failing, good} {
		b.asked(request{id: string(rune('a' + i)), kind: k}, noon)
	}
	b.answered(answer{id: "a", outcome: schemas.OutcomeComplete}, noon.Add(20*time.Millisecond))
	// twice: counted, not waited for
	b.answered(answer{id: "a", outcome: schemas.OutcomeComplete}, noon.Add(30*time.Millisecond))
	b.answered(answer{id: "b", reason: schemas.ReasonAttemptsExhausted}, noon.Add(time.Second))
	if b.lag() != 1 || b.waiting(failing) != 0 || b.waiting(good) != 1 {
		t.Errorf("waiting: %d, failing %d, good %d", b.lag(), b.waiting(failing), b.waiting(good))
	}
	c := b.counts(noon.Add(time.Second))
	if c.requests != 3 || c.lag != 1 || c.results != 2 || c.deadLetters != 1 || c.p50 != 20*time.Millisecond ||
		c.p99 != c.p50 {
		t.Errorf("%+v", c)
	}
	if c := b.counts(noon.Add(latencyWindow + time.Second)); c.p50 != 0 || c.results != 2 {
		t.Errorf("later: %+v", c)
	}
}

func TestMeter(t *testing.T) {
	var m meter
	if r := m.rate(noon, 100); r != 0 {
		t.Errorf("first sample: %v", r)
	}
	for i := 1; i <= 10; i++ {
		r := m.rate(noon.Add(time.Duration(i)*time.Second), 100+i*50)
		if r != 50 {
			t.Errorf("after %d s: %v/s", i, r)
		}
	}
	if r := m.rate(noon.Add(time.Minute), 600); r != 0 {
		t.Errorf("after a silence: %v/s", r)
	}
}
