package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/wait"
)

// collector looks at Kafka with a client library that balanceq does not use, past the proxy.
type collector struct {
	client      *kgo.Client
	addrs       []string
	group       string
	topics      topics
	parts       int          // of each topic; of the topic of requests, to begin with
	asked       atomic.Int32 // of the topic of requests now
	replication int
	highest     map[target]int64
	samples     []sample
	*publisher
	outputs
}

// topics are the names of the three.
type topics struct{ requests, results, deadletters string }

// commitLog is where brokers keep committed offsets.
const commitLog = "__consumer_offsets"

const (
	readUncommitted int8  = 0
	readCommitted   int8  = 1
	latest          int64 = -1
)

// newCollector does not connect yet. Its client takes no end of a connection for a wrong setting: an engine's port is
// open even while no broker is behind it.
func newCollector(addrs string, suffix string, parts int) (*collector, error) {
	w := &collector{
		addrs: strings.Split(addrs, ","), group: "chaos-" + suffix, parts: parts, highest: map[target]int64{},
		outputs:   outputs{before: map[target]int64{}},
		publisher: &publisher{acks: map[int]ack{}, lifeOf: map[[16]byte]int{}},
		topics: topics{"chaos-" + suffix + "-requests", "chaos-" + suffix + "-results", "chaos-" + suffix +
			"-deadletters"},
	}
	w.asked.Store(int32(parts))
	var err error
	if w.client, err = kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.AlwaysRetryEOF(),
		kgo.MetadataMinAge(100*time.Millisecond)); err != nil {
		return nil, err
	}
	return w, w.connect(w.addrs)
}

func (w *collector) close() {
	w.client.Close()
	w.publisher.client.Close()
}

// partitions is how many a topic has now.
func (w *collector) partitions(topic string) int32 {
	switch topic {
	case w.topics.requests:
		return w.asked.Load()
	case commitLog:
		return commitLogParts
	default:
		return int32(w.parts)
	}
}

// committedOffsets asks for the group's offsets, once no transaction is about to change them.
func (w *collector) committedOffsets(ctx context.Context) (map[int32]int64, error) {
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic = w.topics.requests
	for partition := range w.partitions(t.Topic) {
		t.Partitions = append(t.Partitions, partition)
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = w.group, append(g.Topics, t)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable, req.Groups = true, append(req.Groups, g)
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, err
				}
				if p.Offset >= 0 {
					offsets[p.Partition] = p.Offset
				}
			}
		}
	}
	return offsets, nil
}

// ends asks where topics end: up to where records are in the log, whether or not their transaction has ended, or up to
// the first transaction that has not.
func (w *collector) ends(ctx context.Context, isolation int8, names ...string) (map[string]map[int32]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = isolation
	for _, name := range names {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = name
		for partition := range w.partitions(name) {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = partition, latest
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil {
		return nil, err
	}
	ends := map[string]map[int32]int64{}
	for _, t := range resp.Topics {
		ends[t.Topic] = map[int32]int64{}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			ends[t.Topic][p.Partition] = p.Offset
		}
	}
	return ends, nil
}

// serves waits until every replica of every topic is in sync, and the leaders answer. Until then, another broker must
// not fail.
func (w *collector) serves(ctx context.Context) {
	for {
		asking, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := w.whole(asking)
		if err == nil {
			_, err = w.ends(asking, readUncommitted, w.topics.requests, w.topics.results, w.topics.deadletters)
		}
		cancel()
		if err == nil || !wait.Sleep(ctx, sampling) {
			return
		}
	}
}

// whole is an error for as long as some replica is not in sync.
func (w *collector) whole(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil // all
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s/%d has %d of %d replicas in sync, error %d",
					*t.Topic, p.Partition, len(p.ISR), len(p.Replicas), p.ErrorCode)
			}
		}
	}
	return nil
}

// sample takes one sample. The order is what makes it worth anything: first the offsets, then the ends. What has once
// been below an end is written, so ends never go back, not even while a broker that was killed finds out where its log
// ends.
func (w *collector) sample(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	begun := time.Now().UnixMilli()
	committed, err := w.committedOffsets(ctx)
	if err != nil {
		return sample{}, err
	}
	ends, err := w.ends(ctx, readUncommitted, w.topics.results, w.topics.deadletters)
	if err != nil {
		return sample{}, err
	}
	for _, topic := range []string{w.topics.results, w.topics.deadletters} {
		for partition, end := range ends[topic] {
			at := target{topic == w.topics.deadletters, partition}
			w.highest[at] = max(w.highest[at], w.length(at, end))
		}
	}
	s := sample{begun, committed, maps.Clone(w.highest)}
	w.samples = append(w.samples, s)
	return s, nil
}

// read returns everything that is in the log of a topic, by partition and in the order of offsets: records of
// transactions that were aborted, and control records, too.
func (w *collector) read(ctx context.Context, topic string, ends map[int32]int64) (map[int32][]*kgo.Record, error) {
	from := map[int32]kgo.Offset{}
	for partition, end := range ends {
		if end > 0 {
			from[partition] = kgo.NewOffset().AtStart()
		}
	}
	records := map[int32][]*kgo.Record{}
	if len(from) == 0 {
		return records, nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.AlwaysRetryEOF(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for len(from) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			records[r.Partition] = append(records[r.Partition], r)
			if r.Offset >= ends[r.Partition]-1 {
				delete(from, r.Partition)
			}
		})
	}
	return records, nil
}
