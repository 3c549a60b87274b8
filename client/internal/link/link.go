// Package link is what lies between a client and those who answer: Kafka, or a function in a test.
package link

import (
	"context"

	"github.com/balanceq/balanceq/schemas"
)

// Ack is told once that a request is in the topic. It must not block.
type Ack = interface{ Acknowledged() }

// Link carries requests. What comes back is given to the Take that it was made with.
type Link interface {
	// Write sends a request, once. It blocks while there is no room, and fails only if nothing will be sent.
	Write(ctx context.Context, m schemas.Message, ack Ack) error
	// Flush waits until all that was written is acknowledged, or ctx ends; nothing is written afterwards.
	Flush(ctx context.Context) error
	// Close ends it: Take is not called any more.
	Close()
}

// Take is given results, and dead letters where those are read too. The record is the link's own afterwards.
type Take struct {
	Wanted     func(key []byte) bool // whether anybody waits for a record with that key; else it need not be given
	Result     func(*schemas.Record)
	DeadLetter func(*schemas.Record)
}
