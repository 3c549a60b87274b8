package processor

import (
	"context"
	"errors"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// retryAfter is how long the CMS asked this request to wait. A 429 asks all of them, and Admit sees to that.
func retryAfter(err error) time.Duration {
	var cms *cmsclient.Error
	if errors.As(err, &cms) && cms.Class != cmsclient.Throttled {
		return cms.RetryAfter
	}
	return 0
}

// longPause is from when on a pause leaves the handler's place to others: a Retry-After may ask for minutes, and requests of
// a few contracts must not hold up those of all others for so long.
const longPause = time.Second

// wait pauses, but not past the deadline. It is false when ctx ended.
func (p *Processor) wait(ctx context.Context, h handling, d time.Duration, deadline time.Time) (went bool) {
	if !deadline.IsZero() {
		d = max(0, min(d, time.Until(deadline)))
	}
	if d < longPause {
		return pause(ctx, d)
	}
	h.stepAside(ctx, func() { went = pause(ctx, d) })
	return went
}

// pause is false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
