package consumer

import (
	"context"
	"fmt"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// TransactionWriter is what ExactlyOnce needs of the producer.
type TransactionWriter interface {
	// Write keeps an outcome until the offset of its record is committed, and acknowledges it at once, each of its
	// messages. It blocks while there is no room for it.
	Write(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome, place Place) error
	// Commit writes offsets and the outcomes of all records below them in one transaction, as much as fits into one, and
	// returns what is committed, on an error as well. member is asked again with every try: the generation may change.
	Commit(ctx context.Context, member func() kafkawire.Member, o offsets) (committed offsets, err error)
	// Revoked forgets the outcomes whose places are not live any more.
	Revoked()
}

// Place is where an outcome's record stands in its partition. It is an alias, so that the producer can satisfy
// TransactionWriter without knowing this package.
type Place = interface {
	Acknowledger
	// Next says that every record before it has been delivered.
	Next() bool
	// Live says that its partition is still ours.
	Live() bool
	// Committed is called once if its offset is committed, and its outcome with it.
	Committed()
	// Behind is what to commit when this record is the last one that is done.
	Behind() kafkawire.OffsetAndMetadata
	// About says whether a commit was counted in the log that the record stands in, and not in one of the topic's name from before.
	About(committed kafkawire.OffsetAndMetadata) bool
}

// ExactlyOnce is delivery by transactions of outcomes and offsets: a reader that takes committed records only
// (isolation.level=read_committed) sees each outcome once, whatever is killed.
type ExactlyOnce struct{ Writer TransactionWriter }

var _ Delivery = ExactlyOnce{}

// Deliver implements Delivery.
func (d ExactlyOnce) Deliver(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome, _ Acknowledger) error {
	it, ok := inq.Ticket.(*item)
	if !ok {
		return fmt.Errorf("delivering the outcome of %s: it is no record of this consumer", inq.Record.Position)
	}
	return d.Writer.Write(ctx, inq, out, it)
}

// Durable implements Delivery: what is done above the committed offset is in memory only.
func (d ExactlyOnce) Durable() bool { return false }

// Commit implements Delivery.
func (d ExactlyOnce) Commit(ctx context.Context, epoch group.Lease, o offsets) (offsets, error) {
	return d.Writer.Commit(ctx, epoch.Member, o)
}

// Revoked implements Delivery.
func (d ExactlyOnce) Revoked() { d.Writer.Revoked() }

var _ Place = (*item)(nil)

// Next implements Place.
func (it *item) Next() bool {
	p := it.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	return it.ticket == p.tracker.first
}

// Live implements Place.
func (it *item) Live() bool { return !it.partition.revoked.Load() && !ended(it.partition.epoch.Lost()) }

// Behind implements Place.
func (it *item) Behind() kafkawire.OffsetAndMetadata {
	p := it.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	o, _ := p.note(it.record.Offset+1, none, aheadLimit)
	return o
}

// About implements Place.
func (it *item) About(o kafkawire.OffsetAndMetadata) bool {
	of, _, err := decodeNote(o.Offset, o.Metadata)
	return err != nil || !of.replaced(it.partition.log)
}

// Committed implements Place: what was delivered before could have been repeated.
func (it *item) Committed() { it.settled() }
