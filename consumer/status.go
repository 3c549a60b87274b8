package consumer

import (
	"maps"
	"slices"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
)

// Status is a snapshot for metrics and health.
type Status struct {
	Member     string // id in the group; "": not a member yet
	Joined     bool   // has started in the group, and has partitions or is to have none
	InFlight   int    // requests being handled
	LanesReady int    // contracts with waiting requests for which no worker is free
	WorkerFree bool   // a worker has nothing to do, or one more may be started
	LastCommit time.Time
	// PartitionChanges counts requests whose contract's request before them came from another partition: a lower bound.
	PartitionChanges uint64
	Partitions       []PartitionStatus
	Usage            Usage         // of what may be started
	Starting         []StartStatus // granted partitions on which work has not begun, in ascending order
}

// Usage is how much of what may be started over all partitions is, each as a ratio of how many there may be. Above 1 is
// what came before a limit was reached.
type Usage struct {
	Open   float64 // records without an outcome
	Parked float64 // records that wait behind others of their contract
	Ahead  float64 // records that have an outcome and wait for the commit: because of one before them, or of it alone
}

// StartStatus says why work on a granted partition has not begun: it is not known yet where it starts.
type StartStatus struct {
	Partition int32
	Since     time.Time // of the grant
	Tries     int       // how often the brokers were asked without an answer to go by
	Reason    string    // what the last of them said; "": nothing yet
}

// PartitionStatus is a snapshot of one partition.
type PartitionStatus struct {
	Partition int32
	Next      int64     // everything below is finished
	Committed int64     // last committed offset; kafkawire.NoOffset: none by this instance
	End       int64     // end of the log as last heard of (high watermark)
	Open      int       // started and not finished, or finished behind one that is not
	Moved     time.Time // when Next last moved, or when the partition was last idle
	Begun     int64     // everything below it was started, or need not be
	Fetched   int64     // the offset to fetch from next
	Room      bool      // nothing that was fetched waits to be started: the next fetch is due, or under way
	Draining  bool      // being given back: nothing is fetched or started any more
	Oldest    int64     // of the lowest record that was started and is not finished; kafkawire.NoOffset: there is none
	Lane      int64     // the lane of Oldest
	// OldestAt is the timestamp of the oldest record that is not finished. Where none is started it is how long one is
	// known to be there, at least; zero: there is none.
	OldestAt time.Time
	Corrupt  *Corruption // what cannot be read at Fetched; nil: nothing is known of
	HeldUp   *HeldUp     // the transaction that hides what is behind Fetched; nil: none does
	Waits    bool        // Oldest waits in its lane: no handler has taken it
}

// Lag returns how many offsets are not finished yet.
func (p PartitionStatus) Lag() int64 { return max(0, p.End-p.Next) }

// Status returns a snapshot.
func (c *Consumer) Status() Status {
	s := Status{WorkerFree: c.lanes.spare()}
	s.InFlight, s.LanesReady = c.lanes.load()
	s.PartitionChanges = c.lanes.spreadChanges()
	c.mu.Lock()
	s.Joined = c.joined
	lease := c.lease
	for _, id := range slices.Sorted(maps.Keys(c.starting)) {
		s.Starting = append(s.Starting, c.starting[id].status(id))
	}
	c.mu.Unlock()
	if lease != nil {
		s.Member = lease.Member().ID
	}
	if at := c.lastCommit.Load(); at != nil {
		s.LastCommit = *at
	}
	for _, p := range c.held() {
		status := p.status()
		status.Waits = c.lanes.waits(status.Lane, p, status.Oldest)
		s.Partitions = append(s.Partitions, status)
	}
	s.Usage = c.room.usage(len(s.Partitions))
	return s
}

func (p *partition) status() PartitionStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PartitionStatus{
		Partition: p.id, Next: p.tracker.next, Committed: p.committed, End: p.end, HeldUp: p.heldUp, Open: p.tracker.open,
		Moved: p.moved, Begun: p.tracker.begun(),
		Fetched: p.fetchNext, Room: p.room(), Draining: p.draining, Oldest: kafkawire.NoOffset, Corrupt: p.broken,
	}
	if len(p.tracker.entries) > 0 { // the first one is never finished
		oldest := p.tracker.entries[0]
		s.Oldest, s.Lane, s.OldestAt = oldest.after-1, oldest.contract, time.UnixMilli(oldest.written)
		if oldest.written <= 0 { // its publisher gave it none
			s.OldestAt = p.moved
		}
	} else {
		s.OldestAt = p.behind
	}
	return s
}

// spare says whether a worker could take a lane at once.
func (l *lanes) spare() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idle > 0 || l.workers-l.aside < l.limit
}

// waits says whether a record waits in its lane.
func (l *lanes) waits(contract int64, p *partition, offset int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane, ok := l.open[contract]
	return ok && slices.ContainsFunc(lane.waiting, func(s *slot) bool {
		return s.partition == p && s.req.Record.Offset == offset
	})
}
