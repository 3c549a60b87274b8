package consumer

import (
	"context"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// TransactionWriter is what ExactlyOnce needs of the producer.
type TransactionWriter interface {
	// Write holds an outcome until the offset of its request is committed, and says at once that it is pending. It blocks
	// while there is no room for it.
	Write(ctx context.Context, req *inflight.Request, out schemas.Outcome) error
	// Commit writes offsets and the outcomes of all requests below them in one transaction, as much as fits into one, and
	// returns what is committed, on an error as well. member is asked again with every try: the generation may change.
	Commit(ctx context.Context, member func() kafkawire.Member, o Offsets) (committed Offsets, err error)
	// InDoubt says that it is not known yet whether the last commit of a partition was made. The next one finds out, and
	// says Committed to the requests that it was made for.
	InDoubt(partition int32) bool
	// Revoked removes the pending outcomes of requests that are not owned any more.
	Revoked()
}

// ExactlyOnce is delivery by transactions of outcomes and offsets: a reader that takes committed records only
// (isolation.level=read_committed) sees each outcome once, whatever is killed.
type ExactlyOnce struct{ Writer TransactionWriter }

var _ Delivery = ExactlyOnce{}

// Deliver implements Delivery.
func (d ExactlyOnce) Deliver(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	return d.Writer.Write(ctx, req, out)
}

// Commit implements Delivery.
func (d ExactlyOnce) Commit(ctx context.Context, lease group.Lease, o Offsets) (Offsets, error) {
	return d.Writer.Commit(ctx, lease.Member, o)
}

// Answered implements Delivery: what lies above the committed offset is pending, in memory only.
func (d ExactlyOnce) Answered(p Progress) Progress {
	return Progress{Committed: p.Committed, Next: p.Committed, Above: none}
}

// InDoubt implements Delivery.
func (d ExactlyOnce) InDoubt(partition int32) bool { return d.Writer.InDoubt(partition) }

// Revoked implements Delivery.
func (d ExactlyOnce) Revoked() { d.Writer.Revoked() }
