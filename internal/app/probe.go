package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/telemetry"
)

// longestRetryAfter is the most that cmsclient lets the CMS ask a request to wait.
const longestRetryAfter = 5 * time.Minute

// stallTimeouts says how long what may be silent. Between two attempts at a request lie the rest of a call, its
// back-off, and the call that finds out whether the CMS works at all.
func stallTimeouts(cfg config.Config) telemetry.StallTimeouts {
	call := cfg.CMS.Timeout + cfg.CMS.HedgeAfter
	return telemetry.StallTimeouts{After: cfg.Watchdog.After, Retry: 2*call + cfg.CMS.Backoff.Max + longestRetryAfter}
}

// What a fetch of a KafkaProbe may bring: it is only asked whether there is anything.
const (
	probeWait      = 10 * time.Millisecond
	probeBytes     = 1 << 20
	partitionBytes = 64 << 10
)

// KafkaProbe tells the watchdog whether Kafka works, and what it has. Wire should be a client of its own, so that it
// does not wait behind what is watched.
type KafkaProbe struct {
	Wire         *kafkawire.Client
	Group, Topic string
}

// Ask is telemetry.Sources.AskKafka. With an error there is what the other partitions have.
func (p KafkaProbe) Ask(ctx context.Context, group bool, from map[int32]int64) (there map[int32]bool, err error) {
	defer func() {
		if err != nil {
			p.Wire.Reset()
		}
	}()
	if group { // of no partition: only the coordinator matters
		if _, err := p.Wire.CommittedOffsets(ctx, p.Group, p.Topic, nil); err != nil {
			return nil, err
		}
	}
	leaders, partitions, err := p.Wire.Leaders(ctx, p.Topic)
	if err != nil {
		return nil, err
	}
	if group && len(leaders) < partitions { // the offsets to start from may be unknown then, and it is no member without
		return nil, fmt.Errorf("%d of %d partitions of %s have no leader", partitions-len(leaders), partitions, p.Topic)
	}
	var failed []error // one partition or leader each: the others are looked at all the same
	byLeader, without := kafkawire.ByLeader(leaders, from)
	for _, partition := range without {
		failed = append(failed, fmt.Errorf("partition %d of %s has no leader", partition, p.Topic))
	}
	there = map[int32]bool{}
	limits := kafkawire.FetchLimits{MaxWait: probeWait, MaxBytes: probeBytes, PartitionMaxBytes: partitionBytes}
	for leader, offsets := range byLeader {
		fetched, err := p.Wire.Fetch(ctx, leader, p.Topic, offsets, limits)
		if err != nil {
			failed = append(failed, fmt.Errorf("fetching from broker %d: %w", leader, err))
			continue
		}
		for i := range fetched {
			f := &fetched[i]
			there[f.Partition] = f.Next > from[f.Partition]
			if f.Err != nil && !errors.Is(f.Err, kafkawire.ErrCorrupt) { // Kafka works, and the partition's status tells of it
				failed = append(failed, fmt.Errorf("fetching from %s/%d: %w", p.Topic, f.Partition, f.Err))
			}
		}
	}
	return there, errors.Join(failed...)
}
