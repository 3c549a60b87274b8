package processor

import (
	"context"
	"errors"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/wait"
)

// retryAfter is how long the CMS asked this request to wait. A 429 asks all of them, and Admit sees to that.
func retryAfter(err error) time.Duration {
	if cms, ok := errors.AsType[*cmsclient.Error](err); ok && cms.Class != cmsclient.Throttled {
		return cms.RetryAfter
	}
	return 0
}

// longPause is from when on a pause leaves the worker to others: a Retry-After may ask for minutes, and requests of
// a few contracts must not hold up those of all others for so long.
const longPause = time.Second

// pause waits, but not past the deadline. It is false when ctx ended.
func (p *Processor) pause(ctx context.Context, h *handling, d time.Duration, deadline time.Time) (went bool) {
	if !deadline.IsZero() {
		d = max(0, min(d, time.Until(deadline)))
	}
	if d < longPause {
		return wait.Sleep(ctx, d)
	}
	h.stepAside(ctx, func() { went = wait.Sleep(ctx, d) })
	return went
}
