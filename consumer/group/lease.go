package group

import (
	"context"

	"github.com/balanceq/balanceq/kafkawire"
)

// Owner is told which partitions it holds.
type Owner interface {
	// Grant hands over partitions under a lease. ctx ends when they are all asked back. It need not wait until work on
	// them has begun. Without partitions it says that the owner is to have none: there are more members than partitions.
	Grant(ctx context.Context, lease Lease, partitions []int32)
	// Release asks partitions back. When it returns they are drained and committed as far as the budget allows, and the
	// owner does not touch them any more.
	Release(partitions []int32)
}

// Lease is the right to commit, for as long as the partitions of one grant are held.
type Lease interface {
	// Commit stores the next offset to read of each partition, with its metadata. An error leaves it open whether it was
	// stored; offsets of another lease are refused by the group, not by this one.
	Commit(ctx context.Context, offsets map[int32]kafkawire.OffsetAndMetadata) error
	// Lost is closed when the group has given the partitions to others: nothing of them can be committed any more, and
	// what is still answered of them is answered twice.
	Lost() <-chan struct{}
	// Member says who commits at the moment, for offsets that are committed in a transaction.
	Member() kafkawire.Member
}
