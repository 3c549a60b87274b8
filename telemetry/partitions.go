package telemetry

import (
	"strconv"
	"time"

	"github.com/balanceq/balanceq/consumer"
)

const (
	// fewPartitions is up to how many partitions an instance has all of them among its metrics. Six series each are too
	// many where it has thousands, and more than a person looks at: those that stand out are what is looked for then.
	fewPartitions = 100
	// standsStill is from when on a partition that does not move stands out.
	standsStill = time.Minute
)

// partitionState is what the metrics say of a partition.
type partitionState struct {
	*consumer.PartitionStatus
	oldest, stalled time.Duration
	heldUp, corrupt bool
}

func stateOf(p *consumer.PartitionStatus, now time.Time) partitionState {
	s := partitionState{PartitionStatus: p, heldUp: p.HeldUp.Long(now), corrupt: p.Corrupt != nil}
	if !p.OldestAt.IsZero() {
		s.oldest = max(0, now.Sub(p.OldestAt))
	}
	if p.Open > 0 {
		s.stalled = now.Sub(p.Moved)
	}
	return s
}

func (s *partitionState) standsOut() bool { return s.heldUp || s.corrupt || s.stalled >= standsStill }

// collectPartitions adds what there is to say of all partitions together, and of single ones as far as they are few or
// stand out.
func collectPartitions(add set, c *consumer.Status, now time.Time) {
	var lag int64
	var heldUp, corrupt int
	var oldest, stalled time.Duration
	for i := range c.Partitions {
		p := stateOf(&c.Partitions[i], now)
		lag += p.Lag()
		oldest, stalled = max(oldest, p.oldest), max(stalled, p.stalled)
		heldUp, corrupt = heldUp+int(number(p.heldUp)), corrupt+int(number(p.corrupt))
		if len(c.Partitions) <= fewPartitions || p.standsOut() {
			p.collect(add)
		}
	}
	add("balanceq_partitions", float64(len(c.Partitions)))
	add("balanceq_partitions_starting", float64(len(c.Starting)))
	add("balanceq_partitions_held_up", float64(heldUp))
	add("balanceq_partitions_corrupt", float64(corrupt))
	add("balanceq_lag", float64(lag))
	add("balanceq_lag_seconds", oldest.Seconds())
	add("balanceq_stalled_seconds", stalled.Seconds())
	add("balanceq_run_ahead_ratio", c.Usage.Open, "open")
	add("balanceq_run_ahead_ratio", c.Usage.Parked, "parked")
	add("balanceq_run_ahead_ratio", c.Usage.Ahead, "ahead")
}

func (s *partitionState) collect(add set) {
	id := strconv.Itoa(int(s.Partition))
	add("balanceq_partition_lag", float64(s.Lag()), id)
	add("balanceq_partition_oldest_seconds", s.oldest.Seconds(), id)
	add("balanceq_partition_stalled_seconds", s.stalled.Seconds(), id)
	add("balanceq_partition_open", float64(s.Open), id)
	add("balanceq_partition_held_up", number(s.heldUp), id)
	add("balanceq_partition_corrupt", number(s.corrupt), id)
}
