package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/wait"
)

// createTopics creates all three.
func (w *collector) createTopics(ctx context.Context) error {
	return w.create(ctx, w.topics.requests, w.topics.results, w.topics.deadletters)
}

// create creates topics. The brokers stamp requests and results with the time of appending; a dead letter keeps the
// time at which it was decided on.
func (w *collector) create(ctx context.Context, names ...string) error {
	setting := func(name, value string) kmsg.CreateTopicsRequestTopicConfig {
		s := kmsg.NewCreateTopicsRequestTopicConfig()
		s.Name, s.Value = name, &value
		return s
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, w.partitions(name), int16(w.replication)
		t.Configs = append(t.Configs, setting("min.insync.replicas", strconv.Itoa(max(1, w.replication-1))))
		if name != w.topics.deadletters {
			t.Configs = append(t.Configs, setting("message.timestamp.type", "LogAppendTime"))
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil {
		return fmt.Errorf("creating topics: %w", err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("creating topic %s: %w", t.Topic, err)
		}
		if t.Topic == w.topics.requests {
			w.lifeOf[t.TopicID] = len(w.losses)
		}
	}
	return nil
}

// recreate deletes the topic of requests and creates it again after a time.
func (w *collector) recreate(ctx context.Context, after time.Duration) error {
	if err := w.remove(ctx, w.topics.requests); err != nil {
		return err
	}
	wait.Sleep(ctx, after)
	w.losses = append(w.losses, loss{at: time.Now().UnixMilli(), partition: wholeTopic})
	if err := w.create(ctx, w.topics.requests); err != nil {
		return err
	}
	w.serves(ctx)
	return nil
}

// remove deletes a topic.
func (w *collector) remove(ctx context.Context, name string) error {
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &name
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames, req.Topics = []string{name}, append(req.Topics, t)
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil {
		return fmt.Errorf("deleting topic %s: %w", name, err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("deleting topic %s: %w", name, err)
		}
	}
	return nil
}

// expand gives the topic of requests that many partitions more.
func (w *collector) expand(ctx context.Context, more int32) error {
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = w.topics.requests, w.asked.Load()+more
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil {
		return fmt.Errorf("adding partitions to %s: %w", t.Topic, err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("adding partitions to %s: %w", t.Topic, err)
		}
	}
	w.asked.Store(t.Count)
	w.serves(ctx)
	return nil
}

// epoch returns the leader epoch of a partition of requests.
func (w *collector) epoch(ctx context.Context, partition int32) (int32, error) {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &w.topics.requests
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil {
		return 0, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.Partition == partition && p.ErrorCode == 0 {
				return p.LeaderEpoch, nil
			}
		}
	}
	return 0, fmt.Errorf("%s/%d has no leader", w.topics.requests, partition)
}

// begun waits until the group has offsets in all partitions, from which on kafka.start says nothing any more.
func (w *collector) begun(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		offsets, err := w.committedOffsets(ctx)
		if err == nil && len(offsets) == w.parts {
			return nil
		}
		if !wait.Sleep(ctx, sampling) {
			return fmt.Errorf("the group has offsets in %d of %d partitions: %w", len(offsets), w.parts, ctx.Err())
		}
	}
}
