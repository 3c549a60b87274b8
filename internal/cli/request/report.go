package request

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
)

// report says what happened, and returns what of it is a failure.
func (r *publishing) report(took time.Duration, err error) error {
	acked, sent := r.pub.acked.Load(), r.pub.sent.Load()
	summary := "published " + term.Pace(acked, "request", took)
	var t tally
	if r.asking != nil {
		t = r.asking.counts()
		summary += "; " + t.String()
	}
	if acked > 0 || err == nil {
		r.Say("%s", summary)
	}
	if r.asking == nil && acked == sent {
		for _, id := range r.pub.ids {
			if _, failed := fmt.Fprintln(r.Out, "request", printable.Text(id)); err == nil {
				err = failed
			}
		}
	}
	if errors.Is(err, context.Canceled) {
		err = command.ErrInterrupted
	}
	all := []error{err, r.pub.skippedError()}
	if sent > acked {
		all = append(all, fmt.Errorf("%s sent, but not acknowledged: they may or may not be in the topic",
			was(sent-acked, "more request")))
	}
	if err != nil && sent == acked && r.pub.lastLine > 0 {
		r.Say("the requests up to line %[1]d are published; to go on behind it: --from-line %[2]d",
			r.pub.lastLine, r.pub.lastLine+1)
	}
	all = append(all, r.unanswered(t, errors.Is(err, command.ErrInterrupted)), deadLettered(t), r.missing(t))
	return errors.Join(all...)
}

// String is like "answered 12: 10 complete, 1 partial, 1 dead letter".
func (t tally) String() string {
	var parts []string
	add := func(n int64, text string) {
		if n > 0 {
			parts = append(parts, text)
		}
	}
	add(t.complete, fmt.Sprintf("%d complete", t.complete))
	add(t.partial, fmt.Sprintf("%d partial", t.partial))
	add(t.deadLettered, term.Count(t.deadLettered, "dead letter"))
	text := fmt.Sprintf("answered %d", t.answers())
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}

// unanswered says what to do about requests without an answer.
func (r *publishing) unanswered(t tally, interrupted bool) error {
	if t.unanswered == 0 {
		return nil
	}
	text := was(t.unanswered, "request") + " not answered"
	if interrupted {
		text += " yet"
	} else {
		text += fmt.Sprintf(
			" within %s; see whether the service runs and what it says at /readyz: while its breaker is open, requests wait",
			r.o.timeout)
	}
	minutes := int(time.Since(r.start).Minutes()) + 1
	return fmt.Errorf("%s; later answers are shown by: balanceq results --deadletters --since %dm", text, minutes)
}

func deadLettered(t tally) error {
	if t.deadLettered == 0 {
		return nil
	}
	return fmt.Errorf("%s answered by a dead letter", was(t.deadLettered, "request"))
}

// missing is a failure where it was asked to be one.
func (r *publishing) missing(t tally) error {
	if !r.o.failOnMissing || t.partial == 0 {
		return nil
	}
	return fmt.Errorf("%s answered without all of the balances that it asked for", was(t.partial, "request"))
}
