package producer

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// leaderWait is how long the end of a transaction is not repeated for want of a leader. A partition that has none for
// longer does not keep the others waiting.
const leaderWait = 10 * time.Second

// begin announces where a transaction writes and makes sure that the one before has ended there. Nothing is in it yet.
func (c *committer) begin(ctx context.Context, p portion) ([]*queue, error) {
	c.answered = false
	if err := c.retry().Do(ctx, c.refreshLayout); err != nil {
		return nil, err
	}
	queues := c.layout.load(p)
	if len(queues) > 0 {
		partitions := map[string][]int32{}
		for _, q := range queues {
			partitions[q.topic] = append(partitions[q.topic], q.partition)
		}
		err := c.retry().Do(ctx, func(ctx context.Context) error { return c.wire.AddPartitions(ctx, c.txn, partitions) })
		if err != nil {
			c.answered = len(kafkawire.Leaves(err)) < len(queues)
			return nil, err
		}
	}
	err := c.retry().Do(ctx, func(ctx context.Context) error { return c.wire.AddOffsets(ctx, c.txn, c.cfg.Group) })
	if err != nil {
		return nil, err
	}
	return queues, c.confirm(ctx, queues)
}

// place is a partition of a topic that transactions write to.
type place struct {
	topic     string
	partition int32
}

// errLeftOpen says that a transaction was not made, as the one before may be open: another epoch ends that.
var errLeftOpen = errors.New("the brokers may have left the last transaction open, as leaders or connections were lost")

// confirm makes sure that the last transaction has ended wherever it wrote, before anything is written behind it.
//
// The coordinator has taken this transaction, so it calls the last one ended. But where it found no leader for a
// partition, it has left it open there (kafkawire.Epochs.EndAgain). What is written next would belong to the last one,
// and if this one had to be aborted, so would be what was answered and committed. A partition that has had no leader
// for a while has another leader epoch. So those of before the last transaction wrote are compared with those of now,
// when it has been ended. Kafka before 4 gives the same epoch to a broker that is back soon; a connection that was lost
// in between is as good a reason.
func (c *committer) confirm(ctx context.Context, queues []*queue) error {
	if c.answerLost && len(c.written) > 0 {
		return errLeftOpen
	}
	of := map[place]bool{}
	for at := range c.written {
		of[at] = true
	}
	for _, q := range queues {
		of[place{q.topic, q.partition}] = true
	}
	now := c.leaderEpochs(ctx, of)
	if !contains(now, c.written) { // once more: a connection may have been dead, or a leader not known yet
		c.wire.Reset()
		if now = c.leaderEpochs(ctx, of); !contains(now, c.written) {
			return errLeftOpen
		}
	}
	c.written = map[place]int32{}
	for _, q := range queues {
		at := place{q.topic, q.partition}
		c.written[at] = unknownEpoch
		if epoch, ok := now[at]; ok {
			c.written[at] = epoch
		}
	}
	return nil
}

const unknownEpoch = -1 // of a partition whose leader was not there to be asked

// endAgain ends what the brokers may have left open of the transaction before. They may leave that open, too: so each
// partition has to have a leader, and confirm compares.
func (c *committer) endAgain(ctx context.Context) error {
	c.written = nil
	if !c.epochs.LeftOpen() {
		return nil
	}
	if err := c.retry().Do(ctx, c.refreshLayout); err != nil {
		return err
	}
	all := map[place]bool{}
	for _, topic := range c.layout {
		for _, q := range topic.queues {
			all[place{q.topic, q.partition}] = true
		}
	}
	var before map[place]int32
	err := c.retry().Do(ctx, func(ctx context.Context) error {
		before = c.leaderEpochs(ctx, all)
		return c.waitForLeaders(all, before)
	})
	if err != nil {
		return err
	}
	if err := c.epochs.EndAgain(ctx, c.retry(), c.cfg.Group, c.layout.partitions()); err != nil {
		return err
	}
	c.written = before
	return nil
}

// waitForLeaders fails while a partition has had no leader for less than leaderWait.
func (c *committer) waitForLeaders(of map[place]bool, epochs map[place]int32) (err error) {
	for at := range of {
		if _, has := epochs[at]; has {
			delete(c.leaderless, at)
			continue
		}
		if _, known := c.leaderless[at]; !known {
			c.leaderless[at] = time.Now()
		}
		if time.Since(c.leaderless[at]) < leaderWait {
			err = &kafkawire.PartitionError{Topic: at.topic, Partition: at.partition, Err: kafka.LeaderNotAvailable}
		}
	}
	return err
}

// leaderEpochs are those of the partitions whose leaders answer within the time that a transaction has for them.
func (c *committer) leaderEpochs(ctx context.Context, of map[place]bool) map[place]int32 {
	ctx, cancel := context.WithTimeout(ctx, transientTimeout)
	defer cancel()
	byTopic := map[string][]int32{}
	for at := range of {
		byTopic[at.topic] = append(byTopic[at.topic], at.partition)
	}
	epochs := make(map[place]int32, len(of))
	for topic, partitions := range byTopic {
		answered, err := c.wire.LeaderEpochs(ctx, topic, partitions)
		if err != nil {
			c.log.Debug().Err(err).Msg("asking for leader epochs failed in part")
		}
		for partition, epoch := range answered {
			epochs[place{topic, partition}] = epoch
		}
	}
	return epochs
}

// contains says that all of some epochs are the same in others.
func contains(all, some map[place]int32) bool {
	for at, epoch := range some {
		if now, ok := all[at]; !ok || now != epoch {
			return false
		}
	}
	return true
}
