package http1

import (
	"context"
	"errors"
	"time"
)

// call is what a context says about its call, besides ending it.
type call struct {
	context.Context           //nolint:containedctx // it is one
	until           time.Time // zero: it may last as long as the context
	fresh           bool      // takes no idle connection
}

type callKey struct{}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func callOf(ctx context.Context) call {
	how := call{}
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		how = *c
	}
	if deadline, ok := ctx.Deadline(); ok && (how.until.IsZero() || deadline.Before(how.until)) {
		how.until = deadline
	}
	return how
}

// Until makes a context whose call ends at that time, with context.DeadlineExceeded. The context itself does not end
// then: so there is no timer to start and to stop for each call, and calls of one context are known to be.
func Until(ctx context.Context, end time.Time) context.Context {
	how := callOf(ctx)
	if !how.until.IsZero() && how.until.Before(end) {
		end = how.until
	}
	return &call{Context: ctx, until: end, fresh: how.fresh}
}

// OnNewConnection makes a context whose call takes no idle connection: where one had ended, others may have as well.
func OnNewConnection(ctx context.Context) context.Context {
	return &call{Context: ctx, until: callOf(ctx).until, fresh: true}
}

// endOf returns why the call has ended, where that is its context or its time: what fails then, fails because of it.
func (c *call) endOf(ctx context.Context, err error) error {
	end := ctx.Err()
	if end == nil && !c.until.IsZero() && !time.Now().Before(c.until) {
		end = context.DeadlineExceeded
	}
	if end != nil && !errors.Is(err, end) {
		return end
	}
	return err
}
