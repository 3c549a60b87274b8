package main

import (
	"context"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

const (
	betweenLogs = 2 * time.Second // between the first and the second time a topic is created again
	aloneFor    = time.Second     // how long publishers have a new log to themselves
	addedParts  = 3
)

// recreate gives the topic of requests another log, and soon afterwards one more. While it does not exist, requests
// pile up: the second log is longer than the first one as soon as it is there, so that an offset of that one is in it.
// For odd degrees workers do not reach the brokers meanwhile: what they then ask for is there, and is something else.
func (t *injector) recreate(ctx context.Context, s step) error {
	remaking := context.WithoutCancel(ctx)
	again := func() error {
		return t.collector.between(remaking, func() error { return t.collector.recreate(remaking, s.lasts) })
	}
	if err := again(); err != nil {
		return err
	}
	wait.Sleep(ctx, betweenLogs)
	return t.behindBacks(ctx, s, again)
}

// behindBacks does something while, for odd degrees, no worker reaches a broker, and until publishers have gone on for
// a while.
func (t *injector) behindBacks(ctx context.Context, s step, do func() error) error {
	if s.degree%2 == 0 {
		return do()
	}
	for _, n := range t.cluster.nodes {
		n.proxy.cut()
	}
	err := do()
	wait.Sleep(ctx, aloneFor)
	for _, n := range t.cluster.nodes {
		n.proxy.restore()
	}
	return err
}

// expand adds partitions, to which requests go at once.
func (t *injector) expand(ctx context.Context, s step) error {
	adding := context.WithoutCancel(ctx)
	err := t.collector.between(adding, func() error { return t.collector.expand(adding, addedParts) })
	wait.Sleep(ctx, s.lasts)
	return err
}

// outcomes creates the topic of results or that of dead letters again, while publishers wait.
func (t *injector) outcomes(ctx context.Context, s step) error {
	remaking := context.WithoutCancel(ctx)
	topic := []string{t.collector.topics.results, t.collector.topics.deadletters}[s.degree%2]
	return t.collector.between(remaking, func() error { return t.collector.recreateOutputs(remaking, topic, s.lasts) })
}

// truncate kills a broker that then comes back without the end of a partition, as after a power cut with one replica.
// For even degrees workers come first; for odd ones publishers do, so that the log is soon as long as it was.
func (t *injector) truncate(ctx context.Context, s step, n *node) error {
	recovering := context.WithoutCancel(ctx)
	return t.behindBacks(ctx, s, func() error {
		return t.collector.between(recovering, func() error {
			lost, err := t.cut(recovering, s, n)
			if err != nil {
				return fmt.Errorf("truncating a log: %w", err)
			}
			t.collector.losses = append(t.collector.losses, lost)
			t.say("partition %d of requests ends at %d", lost.partition, lost.offset)
			wait.Sleep(ctx, s.lasts)
			err = t.revive(ctx, n)
			if s.degree%2 == 0 {
				wait.Sleep(ctx, aloneFor)
			}
			return err
		})
	})
}

// cut kills a broker and takes the end of a partition from its disk.
func (t *injector) cut(ctx context.Context, s step, n *node) (loss, error) {
	lost := loss{partition: int32(s.degree) % t.collector.asked.Load()}
	before, err := t.collector.epoch(ctx, lost.partition)
	if err != nil {
		return lost, err
	}
	if _, err := t.cluster.kill(ctx, n); err != nil {
		return lost, err
	}
	lost.at, lost.epoch = time.Now().UnixMilli(), before+1
	lost.offset, err = t.cluster.cutLog(ctx, n, t.collector.topics.requests, lost.partition, int64(20+2*s.degree))
	return lost, err
}
