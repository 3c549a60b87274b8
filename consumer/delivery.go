package consumer

import (
	"context"
	"iter"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Delivery writes outcomes and commits offsets. It decides when a request counts as answered (inflight.Slot has the two
// ways to say so), what is committed together with the offsets, and what a commit may name beyond them.
type Delivery interface {
	// Deliver takes the outcome of a request: a result, a dead letter, or both. From then on the delivery says to the
	// request how far its outcome is, from any goroutine, possibly before Deliver returns. It blocks while buffers are
	// full; an error means that the outcome was not taken in full, and the request stays unanswered.
	Deliver(ctx context.Context, req *inflight.Request, out schemas.Outcome) error
	// Commit makes offsets permanent under the lease, with whatever has to go with them, and returns what has become
	// permanent, on an error as well. That may be less than was asked for: of a partition an offset below the one asked
	// for, or none. If it is below, the rest can be committed at once.
	Commit(ctx context.Context, lease group.Lease, o Offsets) (committed Offsets, err error)
	// Answered returns that part of a partition's progress that outlives a crash, whatever is committed from here on.
	// Commits name its Above in their metadata, and the next owner skips those requests.
	Answered(p Progress) Progress
	// InDoubt says that it is not known yet whether the last commit of a partition was made. The next one finds out.
	InDoubt(partition int32) bool
	// Revoked says that partitions have been given back: their pending outcomes are the next owner's business.
	Revoked()
}

// Offsets are what a group commits, by partition.
type Offsets = map[int32]kafkawire.OffsetAndMetadata

// Progress is how far a partition's requests are: acknowledged or pending.
type Progress struct {
	Committed int64 // all below it are committed; where the partition began, if nothing is
	Next      int64 // all below it are
	Above     iter.Seq[Run]
}

// Run is a stretch of offsets above Progress.Next: From, and everything up to To, which is not in it. Runs come in
// ascending order and do not touch.
type Run struct{ From, To int64 }

// Writer is what AtLeastOnce needs of the producer.
type Writer interface {
	// Write queues each message of the outcome, and acknowledges the request for each that is in the log. It blocks while
	// there is no room.
	Write(ctx context.Context, req *inflight.Request, out schemas.Outcome) error
}

// AtLeastOnce is delivery by acknowledged writes: nothing is ever lost; what was acknowledged but not committed when a
// process is killed comes again.
type AtLeastOnce struct{ Writer Writer }

var _ Delivery = AtLeastOnce{}

// Deliver implements Delivery.
func (d AtLeastOnce) Deliver(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	return d.Writer.Write(ctx, req, out)
}

// Commit implements Delivery: all or, as far as is known, nothing.
func (d AtLeastOnce) Commit(ctx context.Context, lease group.Lease, o Offsets) (Offsets, error) {
	err := lease.Commit(ctx, o)
	switch {
	case err == nil:
		return o, nil
	case kafkawire.RemedyOf(err) == kafkawire.Operator:
		return nil, refusedCommitError{err}
	}
	return nil, err
}

// refusedCommitError is the error of offsets that are not taken before an operator has done something, while outcomes
// are written: if the group loses this member first, as it does one without a right to it, they are written again.
type refusedCommitError struct{ error }

func (r refusedCommitError) Unwrap() error { return r.error }

// Answered implements Delivery: whatever is acknowledged is in the log.
func (d AtLeastOnce) Answered(p Progress) Progress { return p }

// InDoubt implements Delivery: what a commit is about is in the log before it.
func (d AtLeastOnce) InDoubt(int32) bool { return false }

// Revoked implements Delivery: nothing is pending here.
func (d AtLeastOnce) Revoked() {}
