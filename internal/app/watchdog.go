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

// patience says how long what may be silent. Between two attempts at a request lie the rest of a call, its back-off, and
// the call that finds out whether the CMS works at all.
func patience(cfg config.Config) telemetry.Patience {
	call := cfg.CMS.Timeout + cfg.CMS.HedgeAfter
	return telemetry.Patience{After: cfg.Watchdog.After, Retry: 2*call + cfg.CMS.Backoff.Max + longestRetryAfter}
}

// What a fetch of Glances may bring: it is only asked whether there is anything.
const (
	glance          = 10 * time.Millisecond
	glanceBytes     = 1 << 20
	partitionGlance = 64 << 10
)

// Glances tell the watchdog whether Kafka works, and what it has. Wire should be a client of their own, so that they do not
// wait behind what is watched.
type Glances struct {
	Wire         *kafkawire.Client
	Group, Topic string
}

// Ask is telemetry.Sources.AskKafka. With an error there is what the other partitions have.
func (g Glances) Ask(ctx context.Context, group bool, from map[int32]int64) (there map[int32]bool, err error) {
	defer func() {
		if err != nil {
			g.Wire.Reset()
		}
	}()
	if group { // of no partition: only the coordinator matters
		if _, err := g.Wire.CommittedOffsets(ctx, g.Group, g.Topic, nil); err != nil {
			return nil, err
		}
	}
	leaders, partitions, err := g.Wire.Leaders(ctx, g.Topic)
	if err != nil {
		return nil, err
	}
	if group && len(leaders) < partitions { // the offsets to start from may be unknown then, and there is no place without
		return nil, fmt.Errorf("%d of %d partitions of %s have no leader", partitions-len(leaders), partitions, g.Topic)
	}
	var failed []error // one partition or leader each: the others are looked at all the same
	byLeader := map[int32]map[int32]int64{}
	for partition, offset := range from {
		leader, ok := leaders[partition]
		if !ok {
			failed = append(failed, fmt.Errorf("partition %d of %s has no leader", partition, g.Topic))
			continue
		}
		if byLeader[leader] == nil {
			byLeader[leader] = map[int32]int64{}
		}
		byLeader[leader][partition] = offset
	}
	there = map[int32]bool{}
	limits := kafkawire.FetchLimits{MaxWait: glance, MaxBytes: glanceBytes, PartitionMaxBytes: partitionGlance}
	for leader, offsets := range byLeader {
		fetched, err := g.Wire.Fetch(ctx, leader, g.Topic, offsets, limits)
		if err != nil {
			failed = append(failed, fmt.Errorf("fetching from broker %d: %w", leader, err))
			continue
		}
		for i := range fetched {
			f := &fetched[i]
			there[f.Partition] = f.Next > from[f.Partition]
			if f.Err != nil && !errors.Is(f.Err, kafkawire.ErrCorrupt) { // Kafka works, and the partition's status tells of it
				failed = append(failed, fmt.Errorf("fetching from %s/%d: %w", g.Topic, f.Partition, f.Err))
			}
		}
	}
	return there, errors.Join(failed...)
}
