package demo

import (
	"sync"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// breakerLog remembers when the breaker was open. It is an observer of the CMS client.
type breakerLog struct {
	mu    sync.Mutex
	spans []span // the last one has no end while the breaker is open
}

var _ cmsclient.BreakerObserver = (*breakerLog)(nil)

// BreakerChanged implements cmsclient.BreakerObserver.
func (l *breakerLog) BreakerChanged(from, to cmsclient.BreakerState, _ cmsclient.Failing) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if to == cmsclient.BreakerOpen {
		l.spans = append(l.spans, span{from: now})
	} else if n := len(l.spans); from == cmsclient.BreakerOpen && n > 0 {
		l.spans[n-1].to = now
	}
}

// open returns the spans so far; one that has not ended ends now.
func (l *breakerLog) open(now time.Time) []span {
	l.mu.Lock()
	defer l.mu.Unlock()
	spans := append([]span(nil), l.spans...)
	if n := len(spans); n > 0 && spans[n-1].to.IsZero() {
		spans[n-1].to = now
	}
	return spans
}

// total is how long the breaker has been open so far.
func (l *breakerLog) total(now time.Time) time.Duration {
	var sum time.Duration
	for _, s := range l.open(now) {
		sum += s.to.Sub(s.from)
	}
	return sum
}
