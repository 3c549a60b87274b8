package consumer

import "time"

// Status is a snapshot for metrics and health.
type Status struct {
	Joined     bool // holds its place in the group
	InFlight   int  // requests being handled
	LanesReady int  // contracts with waiting requests for which no worker is free
	LastCommit time.Time
	Partitions []PartitionStatus
}

// PartitionStatus is a snapshot of one partition.
type PartitionStatus struct {
	Partition int32
	Next      int64     // everything below is finished
	Committed int64     // last committed offset; kafkawire.NoOffset: none by this instance
	End       int64     // end of the log as last heard of (last stable offset)
	Open      int       // started and not finished, or finished behind one that is not
	Moved     time.Time // when Next last moved, or when the partition was last idle
}

// Lag returns how many offsets are not finished yet.
func (p PartitionStatus) Lag() int64 { return max(0, p.End-p.Next) }

// Status returns a snapshot.
func (c *Consumer) Status() Status {
	s := Status{}
	s.InFlight, s.LanesReady = c.lanes.load()
	c.mu.Lock()
	s.Joined = c.joined
	c.mu.Unlock()
	if at := c.lastCommit.Load(); at != 0 {
		s.LastCommit = time.Unix(0, at)
	}
	for _, p := range c.held() {
		p.mu.Lock()
		s.Partitions = append(s.Partitions, PartitionStatus{
			Partition: p.id, Next: p.tracker.next, Committed: p.committed, End: p.stable, Open: p.tracker.open, Moved: p.moved,
		})
		p.mu.Unlock()
	}
	return s
}
