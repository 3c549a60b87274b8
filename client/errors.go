package client

import (
	"errors"
	"fmt"

	"github.com/balanceq/balanceq/schemas"
)

// ErrClosed says that the client is closed. An UnknownError wraps it for a request that had no answer by then.
var ErrClosed = errors.New("client: closed")

// RefusedError is the final answer to a request that has no result. It will not be answered again, unless an operator
// replays its dead letter.
type RefusedError struct {
	Request Request
	Reason  schemas.Reason // possibly one that this version does not know
	Detail  string         // for people; "" where dead letters are not read
	// DeadLetter is the record; nil where dead letters are not read.
	DeadLetter *schemas.Record
}

func (e *RefusedError) Error() string {
	text := "client: refused: " + string(e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// UnknownError says that a wait has ended before the answer came. The outcome is unknown: the request may have been
// answered, may still be, or, if it is not acknowledged, may never have reached the topic.
type UnknownError struct {
	Ticket *Ticket // to go on waiting with
	Err    error   // what ended the wait: context.DeadlineExceeded, context.Canceled, ErrClosed or ErrForgotten
}

func (e *UnknownError) Error() string {
	where := "it is in the topic"
	if e.Ticket.Acknowledged().IsZero() {
		where = "Kafka has not acknowledged it"
	}
	return fmt.Sprintf("client: the outcome of request %s is unknown (%s): %v", schemas.Mask(e.Ticket.ID()), where, e.Err)
}

func (e *UnknownError) Unwrap() error { return e.Err }

// Timeout says that it was a deadline that ended the wait, as net.Error does.
func (e *UnknownError) Timeout() bool {
	var timed interface{ Timeout() bool }
	return errors.As(e.Err, &timed) && timed.Timeout() //nolint:forbidigo // AsType takes no interface without Error
}

// ErrForgotten says that no call waited for the request any more when MaxWaiting was reached, or that its ticket was
// given up.
var ErrForgotten = errors.New("its ticket was given up")
