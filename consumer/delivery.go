package consumer

import (
	"context"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/schemas"
)

// Delivery decides when an outcome is durable and what is committed together with the offsets. At-least-once finishes a
// record when the broker has acknowledged its outcome, and commits offsets on their own; exactly-once finishes it at once
// and puts outcomes and offsets into one transaction.
type Delivery interface {
	// Deliver takes the outcome of a record. Each message of it is acknowledged once, from any goroutine, possibly before
	// Deliver returns. It blocks while buffers are full; an error means that nothing was taken and that no
	// acknowledgement follows.
	Deliver(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome, ack Acknowledger) error
	// Commit makes offsets permanent under the epoch, with whatever has to go with them, and returns what has become
	// permanent, on an error as well. That may be less than was asked for: of a partition an offset below the one asked for,
	// or none. If it is below, the rest can be committed at once.
	Commit(ctx context.Context, epoch group.Lease, o offsets) (committed offsets, err error)
	// Revoked says that partitions have been given back: outcomes of theirs that are kept are the next owner's business.
	Revoked()
	// Durable says whether the outcome of a record that counts as done outlives a crash, whatever is committed. If so,
	// commits carry the records that are done above the committed offset in their metadata, and the next owner skips them.
	Durable() bool
}

// Acknowledger is told that one message of an outcome counts as done. It is an alias, so that the producer can satisfy
// Writer without knowing this package.
type Acknowledger = interface{ Acknowledged() }

// Writer is what AtLeastOnce needs of the producer.
type Writer interface {
	Write(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome, ack Acknowledger) error
}

// AtLeastOnce is delivery by acknowledged writes: nothing is ever lost; what was acknowledged but not committed when a
// process is killed comes again.
type AtLeastOnce struct{ Writer Writer }

var _ Delivery = AtLeastOnce{}

// Deliver implements Delivery.
func (d AtLeastOnce) Deliver(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome, ack Acknowledger) error {
	return d.Writer.Write(ctx, inq, out, ack)
}

// Commit implements Delivery: all or, as far as is known, nothing.
func (d AtLeastOnce) Commit(ctx context.Context, epoch group.Lease, o offsets) (offsets, error) {
	if err := epoch.Commit(ctx, o); err != nil {
		return nil, err
	}
	return o, nil
}

// Revoked implements Delivery: nothing is kept.
func (d AtLeastOnce) Revoked() {}

// Durable implements Delivery: a record is done when the brokers have acknowledged its outcome.
func (d AtLeastOnce) Durable() bool { return true }
