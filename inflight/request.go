package inflight

import (
	"context"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Request is an in-flight request: a record as it was read, what it asks, what has been tried so far, and its slot.
type Request struct {
	Slot    // the consumer's; nil where nothing of it is used
	Record  schemas.Record
	Request schemas.Request
	// Err says why the record is not a valid request; Request then holds only what could be read of it (at least the ID).
	Err error
	// Span is nil for a request that is not sampled.
	Span Span
	// Stages says when it came where.
	Stages Stages

	// What happened to it so far; the processor writes these, and they are not read before it has completed the request.
	Attempts     int       // CMS calls made for it, all of them
	Counted      int       // failed attempts that count against it: the CMS answered others in between
	FirstFailure time.Time // of an attempt; zero: none failed
	LastFailure  time.Time
}

// Contract is what the order of outcomes is kept by: 0 for a record that is no valid request, and so has no order to
// keep.
func (r *Request) Contract() int64 {
	if r.Err != nil {
		return 0
	}
	return r.Request.ContractID
}

// Slot is what a request occupies in the window of its partition, from its start until the commit offset has passed it.
// The consumer implements it. All methods may be called from any goroutine; none but Complete blocks.
//
// The processor asks whether the request is still owned, and completes it. The delivery then says how far its outcome
// is, by one of two ways: Acknowledged for each message of it, or Pending and in the end Committed.
type Slot interface {
	// Owned says whether this instance still owns the request's partition. If not, the request is the next owner's, and is
	// left as it is.
	Owned() bool
	// Revoked returns a channel that is closed when the partition has been given back.
	Revoked() <-chan struct{}
	// Complete hands the outcome to the delivery. It blocks while the delivery's buffers are full. Outcomes of one
	// contract are written in the order of Complete.
	Complete(ctx context.Context, out schemas.Outcome)

	// Acknowledged says that one message of the outcome is in the log of all in-sync replicas. With the last message the
	// request is answered, and the commit offset may pass it.
	Acknowledged()
	// Pending says that the outcome goes into the transaction that commits the request's offset: the commit offset may
	// pass it. It is called once, and so is Committed, if that transaction is committed: only then is the request
	// answered.
	Pending()
	Committed()

	// First says that every record before this one in the partition is acknowledged or pending.
	First() bool
	// CommitOffset is what to commit when this is the last request that is answered.
	CommitOffset() kafkawire.OffsetAndMetadata
	// CoveredBy says whether who committed that offset has answered this request: it lies beyond the record, and was
	// counted in the log that the record stands in, not in a former topic's of that name, nor in an end that this log has
	// lost.
	CoveredBy(committed kafkawire.OffsetAndMetadata) bool
}
