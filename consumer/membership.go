package consumer

import (
	"context"

	"github.com/balanceq/balanceq/kafkawire"
)

// Membership is a place in the consumer group: Classic or KIP848.
type Membership interface {
	// Join takes the place and keeps it until ctx ends, then gives the partitions back and leaves the group. It calls
	// owner from goroutines of its own, never two calls for the same partition at a time.
	Join(ctx context.Context, owner Owner) error
}

// Owner is told which partitions it holds.
type Owner interface {
	// Grant hands over partitions under an epoch. ctx ends when they are all asked back. It need not wait until work on
	// them has begun.
	Grant(ctx context.Context, epoch Epoch, partitions []int32)
	// Release asks partitions back. When it returns they are drained and committed as far as the budget allows, and the
	// owner does not touch them any more.
	Release(partitions []int32)
}

// Epoch is the right to commit, for as long as the partitions of one grant are held.
type Epoch interface {
	// Commit stores the next offset to read of each partition, with its metadata. An error leaves it open whether it was
	// stored; offsets of another epoch are refused by the group, not by us.
	Commit(ctx context.Context, offsets map[int32]kafkawire.OffsetAndMetadata) error
	// Lost is closed when the group has given the partitions to others: nothing of them can be committed any more, and what
	// is still answered of them is answered twice.
	Lost() <-chan struct{}
	// Member says who commits at the moment, for offsets that are committed in a transaction.
	Member() kafkawire.Member
}
