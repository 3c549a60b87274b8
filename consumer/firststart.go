package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/kafkawire"
)

// beginner is the partition whose holder decides where the group begins.
const beginner = 0

var errNotBegun = errors.New(
	"the group has committed nothing yet: the instance that holds partition 0 decides where it begins")

var errBegunMeanwhile = errors.New("the group has begun just now; its offsets are read again")

// freshStarts returns where partitions without a committed offset start. Config.Start is about a group's first start
// only: where the group has committed anything in the topic, a partition without an offset is one that was added, and
// begins at its beginning, or what was written to it before this group noticed would be skipped.
//
// Two instances that start together must agree on which of the two it is. If each committed its own start, the second
// one could find the first one's offset, take its own partitions for added ones and answer all that they hold. So the
// holder of partition 0 commits the start of all partitions, in one request, before it begins; every other instance
// waits for that. One member at a time holds partition 0, and the group refuses the commit if that has changed
// meanwhile. It can overwrite nothing: as long as nothing is committed no member has begun. The first commit stores the
// start even if nothing comes: a restart must not resolve "latest" again and skip what came in between.
func (c *Consumer) freshStarts(
	ctx context.Context, granted map[int32]*starting, ids []int32,
) (from map[int32]position, failed map[int32]error) {
	log, err := c.identify(ctx)
	if err != nil {
		return nil, kafkawire.Failures[position](ids, nil, err)
	}
	if c.cfg.Start != Earliest {
		begun, all, offsets, err := c.begun(ctx)
		switch {
		case err != nil:
			return nil, kafkawire.Failures[position](ids, nil, err)
		case !begun && !slices.Contains(ids, beginner):
			return nil, kafkawire.Failures[position](ids, nil, errNotBegun)
		case !begun:
			from, err = c.beginGroup(ctx, granted[beginner].lease, log, all)
			maps.DeleteFunc(from, func(id int32, _ position) bool { return !slices.Contains(ids, id) })
			return from, kafkawire.Failures(ids, from, err)
		}
		// The holder of partition 0 may have begun between the request that found no offset for these and the one of just
		// now: then they have one by now, were not added later, and are read again.
		if slices.ContainsFunc(ids, func(id int32) bool { return offsets[id].Offset != kafkawire.NoOffset }) {
			return nil, kafkawire.Failures[position](ids, nil, errBegunMeanwhile)
		}
	}
	from, err = c.resolve(ctx, log, ids, kafkawire.Earliest)
	return from, kafkawire.Failures(ids, from, err)
}

// begun says whether the group has committed anything in the topic, which partitions that has, and their offsets. An
// offset that a transaction is about to commit is one.
func (c *Consumer) begun(ctx context.Context) (
	begun bool, all []int32, committed map[int32]kafkawire.OffsetAndMetadata, err error,
) {
	if all, err = c.wire.Partitions(ctx, c.cfg.Topic); err != nil {
		return false, nil, nil, err
	}
	committed, err = c.wire.CommittedOffsets(ctx, c.cfg.Group, c.cfg.Topic, all)
	for _, o := range committed {
		begun = begun || o.Offset != kafkawire.NoOffset
	}
	if begun || errors.Is(err, kafka.UnstableOffsetCommit) {
		return true, all, committed, nil
	}
	return false, all, committed, err
}

// beginGroup commits where the group begins in all partitions, and returns that. Without all of it nothing is
// committed: what is left out would be taken for added later.
func (c *Consumer) beginGroup(ctx context.Context, lease group.Lease, log logID,
	all []int32) (map[int32]position, error) {
	from, err := c.resolve(ctx, log, all, int64(c.cfg.Start))
	if err != nil {
		return nil, err
	}
	var older []int32 // whose records are all older
	for id, at := range from {
		if at.start < 0 {
			older = append(older, id)
		}
	}
	if len(older) > 0 {
		ends, err := c.resolve(ctx, log, older, kafkawire.Latest)
		if err != nil {
			return nil, err
		}
		maps.Copy(from, ends)
	}
	first := make(Offsets, len(from))
	for id, at := range from {
		at.committed = kafkawire.OffsetAndMetadata{Offset: at.start, Epoch: kafkawire.NoEpoch}
		at.committed.Metadata, _ = encodeNote(log, kafkawire.NoEpoch, at.start, none, aheadLimit)
		first[id], from[id] = at.committed, at
	}
	if err := lease.Commit(ctx, first); err != nil {
		return nil, fmt.Errorf("committing where the group begins: %w", err)
	}
	return from, nil
}
