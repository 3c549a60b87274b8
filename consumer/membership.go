package consumer

import (
	"context"

	"github.com/balanceq/balanceq/consumer/group"
)

// Membership is a member of the consumer group: *group.Classic or *group.KIP848.
type Membership interface {
	// Join joins the group and stays a member until ctx ends, then gives the partitions back and leaves. It calls owner
	// from goroutines of its own, never two calls for the same partition at a time.
	Join(ctx context.Context, owner group.Owner) error
}

var (
	_ Membership  = (*group.Classic)(nil)
	_ Membership  = (*group.KIP848)(nil)
	_ group.Owner = (*Consumer)(nil)
)
