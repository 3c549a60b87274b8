package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// collect reads everything that is in Kafka, after all workers have ended. The brokers' log of commits is read where it
// is all of this run's making.
func (w *collector) collect(ctx context.Context, withCommits bool) (history, error) {
	h := history{samples: w.samples, losses: w.losses, published: len(w.acks)}
	names := []string{w.topics.requests, w.topics.results, w.topics.deadletters}
	if withCommits {
		names = append(names, commitLog)
	}
	ends, err := w.quiesced(ctx, names...)
	if err != nil {
		return h, fmt.Errorf("asking for the ends of the topics: %w", err)
	}
	each := func(topic string, take func(stored) error) error {
		wrong, err := w.each(ctx, topic, ends[topic], take)
		h.incidents = append(h.incidents, wrong...)
		return err
	}
	if err := each(w.topics.requests, func(r stored) error {
		q, err := readRequest(r.Record)
		if err == nil {
			q.life = w.acks[q.seq].life
			h.requests = append(h.requests, q)
		}
		return err
	}); err != nil {
		return h, err
	}
	if h.gone, err = w.missing(h.requests); err != nil {
		return h, err
	}
	for _, topic := range []string{w.topics.results, w.topics.deadletters} {
		if err := w.keep(ctx, topic, ends[topic]); err != nil {
			return h, err
		}
	}
	h.outcomes, h.incidents = w.kept, append(h.incidents, w.wrong...)
	if withCommits {
		err = each(commitLog, func(r stored) error {
			if c, ok := w.readCommit(r); ok {
				h.commits = append(h.commits, c)
			}
			return nil
		})
		if err == nil && len(h.commits) == 0 {
			err = fmt.Errorf("%s holds no commit of the group that can be read, so it cannot be checked by", commitLog)
		}
	}
	h.ended = time.Now().UnixMilli()
	return h, err
}

// each hands on what a read-committed reader gets of a topic. What take finds wrong with a record it returns.
func (w *collector) each(ctx context.Context, topic string, ends map[int32]int64,
	take func(stored) error) (wrong []string, err error) {
	log, err := w.read(ctx, topic, ends)
	if err != nil {
		return nil, err
	}
	for _, partition := range slices.Sorted(maps.Keys(log)) {
		records, err := committed(log[partition])
		if err != nil {
			return wrong, err
		}
		for _, r := range records {
			if err := take(r); err != nil {
				wrong = append(wrong, err.Error())
			}
		}
	}
	return wrong, nil
}

// readCommit reads a record of the log of commits (Kafka's OffsetCommitKey and OffsetCommitValue). Other groups' do not
// count, and neither are records of another kind.
func (w *collector) readCommit(r stored) (commit, bool) {
	var key kmsg.OffsetCommitKey
	var value kmsg.OffsetCommitValue
	const kinds = 2 // 0 and 1 are versions of the key of a commit, 2 is the key of a group
	if len(r.Key) < 2 || r.Key[0] != 0 || r.Key[1] >= kinds || len(r.Value) == 0 ||
		key.ReadFrom(r.Key) != nil || value.ReadFrom(r.Value) != nil || key.Group != w.group ||
		key.Topic != w.topics.requests {
		return commit{}, false
	}
	c := commit{key.Partition, value.Offset, value.CommitTimestamp, value.CommitTimestamp,
		about{value.LeaderEpoch, w.named(value.Metadata)}}
	if value.Version < 3 { // KIP-320: there is no epoch
		c.epoch = -1
	}
	if r.inOne {
		c.ended = r.ended
	}
	return c, true
}
