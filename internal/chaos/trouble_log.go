package main

import (
	"context"
	"fmt"
	"time"
)

const (
	betweenLogs = 2 * time.Second // between the first and the second time a topic is created again
	addedParts  = 3
)

// recreate gives the topic of requests another log, and soon afterwards one more. While it does not exist, requests pile up:
// the second log is longer than the first one as soon as it is there, so that an offset of that one is in it.
func (t *trouble) recreate(ctx context.Context, s step) error {
	remaking := context.WithoutCancel(ctx)
	for i := range 2 {
		if i > 0 {
			pause(ctx, betweenLogs)
		}
		if err := t.witness.between(remaking, func() error { return t.witness.recreate(remaking, s.lasts) }); err != nil {
			return err
		}
	}
	return nil
}

// expand adds partitions, to which requests go at once.
func (t *trouble) expand(ctx context.Context, s step) error {
	adding := context.WithoutCancel(ctx)
	err := t.witness.between(adding, func() error { return t.witness.expand(adding, addedParts) })
	pause(ctx, s.lasts)
	return err
}

// truncate kills a broker that then comes back without the end of a partition, as after a power cut with one replica. For
// odd degrees requests go on at once, so that the log is soon as long as it was; for even ones workers come first.
func (t *trouble) truncate(ctx context.Context, s step, n *node) error {
	mending := context.WithoutCancel(ctx)
	partition := int32(s.degree) % t.witness.asked.Load()
	return t.witness.between(mending, func() error {
		before, err := t.witness.epoch(mending, partition)
		if err != nil {
			return err
		}
		if _, err := t.cluster.kill(mending, n); err != nil {
			return err
		}
		lost := loss{at: time.Now().UnixMilli(), partition: partition, epoch: before + 1}
		lost.offset, err = t.cluster.cutLog(mending, n, t.witness.topics.requests, partition, int64(20+2*s.degree))
		if err != nil {
			return fmt.Errorf("truncating a log: %w", err)
		}
		t.witness.losses = append(t.witness.losses, lost)
		t.say("partition %d of requests ends at %d", partition, lost.offset)
		pause(ctx, s.lasts)
		if err := t.revive(ctx, n); err != nil {
			return err
		}
		if s.degree%2 == 0 {
			pause(ctx, betweenLogs)
		}
		return nil
	})
}
