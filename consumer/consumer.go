package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Start says where a group that has committed nothing in the topic begins: at the first record of that time or later
// (milliseconds since 1970, by the records' timestamps), at the beginning or at the end.
type Start int64

// The starts besides times.
const (
	Earliest = Start(kafkawire.Earliest)
	Latest   = Start(kafkawire.Latest)
)

// Config sizes the consumer. Its memory is bounded by the partitions that it holds, not by the backlog: of each one
// fetched chunk waits, and 8 MiB of chunks, or a single larger one, have records in flight.
type Config struct {
	Topic       string
	Group       string
	Start       Start
	MaxInFlight int // requests being handled at a time, over all partitions
	// RunAhead is how many records may be started and not yet below the offset to commit, which is behind the contiguous
	// answered ones; over all partitions. Each partition has an equal share, and may always have 16, which come on top.
	RunAhead   int
	FetchBytes int // of one fetch of one partition, at most; a larger batch comes whole all the same
	// a kill -9 repeats what was answered in the last one; a full note is committed less often
	CommitInterval time.Duration
	DrainTimeout   time.Duration // how long partitions that are asked back may take to finish
}

// Gate says whether there is any point in fetching at the moment.
type Gate interface {
	// Waiting returns why not ("" when there is), and then a channel that is closed when that cause may have gone: ask
	// again, there may be another one.
	Waiting() (cause string, changed <-chan struct{})
}

// OutcomeDeadLetter is the outcome of a record that was dead-lettered, as observers see it.
const OutcomeDeadLetter = "dead-letter"

// Observer hears what happens. Its methods are called on hot paths and must not block. They are one interface because
// they have one implementation, the metrics, which wants all of them: there is no other observer, and no no-op one.
type Observer interface {
	// Answered is called when a request's outcome is in the log: acknowledged, or where it goes with the offset,
	// committed. outcome is a result's outcome, or OutcomeDeadLetter.
	Answered(outcome string, reason schemas.Reason)
	// Committed is called after each commit; err is nil when it worked.
	Committed(took time.Duration, err error)
	// OffsetJumped is called when records between two offsets could not be read any more.
	OffsetJumped(partition int32, from, to int64)
}

// Consumer reads one topic. Make it with New, start it with Run.
type Consumer struct {
	cfg      Config
	wire     *kafkawire.Client // for offsets; the fetcher has its own
	member   Membership
	delivery Delivery
	gate     Gate
	skips    Skips // nil: none
	log      zerolog.Logger
	obs      Observer
	lanes    *lanes
	fetcher  *fetcher
	room     *room
	// Run's, for handlers and what Grant starts: it outlives the intake by the drain.
	work     context.Context //nolint:containedctx // see above
	progress wait.Signal     // something finished while draining
	moved    wait.Signal     // a commit offset has moved

	commitMu   sync.Mutex                // one commit at a time: a later one must not be overtaken by an earlier one
	lastCommit atomic.Pointer[time.Time] // when the last commit that worked was sent, with its monotonic reading
	refused    int                       // commits that failed since then; guarded by commitMu
	noteLimit  int                       // characters of metadata that a commit may carry; guarded by commitMu

	fail context.CancelCauseFunc // ends Run, for what trying again does not cure

	mu         sync.Mutex
	partitions map[int32]*partition
	starting   map[int32]*starting // granted, start not known yet
	joined     bool                // some partition has started and not been given back, or there is none for this one
	starts     sync.WaitGroup
	former     map[kafkawire.TopicID]bool // former topics of the same name

	following sync.Mutex // one change of logs at a time
}

// Parts are what a consumer works with.
type Parts struct {
	Offsets  *kafkawire.Client // for offsets
	Fetch    *kafkawire.Client // for fetching: its connections are busy with long polls
	Member   Membership
	Delivery Delivery
	Handler  Handler
	Gate     Gate
	Skips    Skips // nil: what cannot be read is never skipped
	Log      zerolog.Logger
	Observer Observer
}

// New makes a consumer that has not joined yet.
func New(cfg Config, parts Parts) *Consumer {
	c := &Consumer{
		cfg: cfg, wire: parts.Offsets, member: parts.Member, delivery: parts.Delivery, gate: parts.Gate, skips: parts.Skips,
		log: parts.Log, obs: parts.Observer,
		lanes:      newLanes(parts.Handler, cfg.MaxInFlight),
		progress:   wait.NewSignal(),
		moved:      wait.NewSignal(),
		partitions: map[int32]*partition{},
		starting:   map[int32]*starting{},
		former:     map[kafkawire.TopicID]bool{},
		noteLimit:  aheadLimit,
	}
	c.fetcher = newFetcher(c, parts.Fetch)
	c.room = newRoom(cfg.RunAhead, c.wakePartitions)
	return c
}

// Run consumes until ctx ends: then it drains what was started, commits, leaves the group and returns. The order of the
// end matters: the group gives the partitions back first, which drains them while handlers, delivery and commits still
// work; only then are handlers cancelled.
func (c *Consumer) Run(ctx context.Context) error {
	ctx, c.fail = context.WithCancelCause(ctx)
	defer c.fail(nil)
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	c.work = work
	var wg sync.WaitGroup
	wg.Go(func() { c.fetcher.run(work) })
	wg.Go(func() { c.commitLoop(work) })
	err := c.member.Join(ctx, c)
	stopWork()
	c.lanes.close()
	wg.Wait()
	c.starts.Wait()
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("consuming %s: %w", c.cfg.Topic, err)
	}
	return nil
}

// levelOf returns at which level to log a repeated failure: debug when it passes by itself, else error, but only at
// every doubling of tries. Something that only people can fix must not fill the disk until they come.
func levelOf(err error, tries int) zerolog.Level {
	if kafkawire.Transient(err) || !wait.Report(tries) {
		return zerolog.DebugLevel
	}
	return zerolog.ErrorLevel
}

// quietDrain is how long a drain waits without any progress while the gate names a cause: what is on the wire ends by
// then, and what waits for the CMS, or for an operator, would wait for longer than any of that.
const quietDrain = time.Second

// Release implements group.Owner: it stops intake, lets everything that was started finish within the budget, and
// commits. What was started must finish, not only what is being called: a hole in the finished offsets would repeat all
// that follows it.
func (c *Consumer) Release(ids []int32) {
	parts := c.drainStart(ids)
	began := time.Now()
	deadline := time.NewTimer(c.cfg.DrainTimeout)
	defer deadline.Stop()
	lost := lossOf(parts)
	for drained(parts) > 0 {
		quiet := time.NewTimer(quietDrain)
		over := false
		select {
		case <-lost: // the new owner answers them by now
			over = true
		case <-c.progress:
		case <-deadline.C:
			over = true
		case <-quiet.C:
			cause, _ := c.gate.Waiting()
			over = cause != ""
		}
		quiet.Stop()
		if over {
			break
		}
	}
	c.commitAndRevoke(c.work, parts, began.Add(c.cfg.DrainTimeout))
	left := 0
	for _, p := range parts {
		left += p.forfeit()
	}
	c.mu.Lock()
	for _, p := range parts {
		if c.partitions[p.id] == p {
			delete(c.partitions, p.id)
		}
	}
	c.joined = len(c.partitions) > 0
	c.room.divide(len(c.partitions))
	c.mu.Unlock()
	c.wakePartitions() // for what was given back, and since each has a larger share
	c.log.Info().Ints32("partitions", ids).Int64("took_ms", time.Since(began).Milliseconds()).
		Int("unfinished", left).Msg("gave partitions back")
}

// lossOf returns a channel that is closed when partitions that are released together are lost. They came by one
// membership, and what is lost is lost together.
func lossOf(parts []*partition) <-chan struct{} {
	if len(parts) == 0 {
		return nil
	}
	return parts[0].lease.Lost()
}

// drainStart stops fetching and dispatching the partitions and returns those that are held.
func (c *Consumer) drainStart(ids []int32) []*partition {
	var parts []*partition
	c.forget(ids)
	c.mu.Lock() // until all are marked: replace must not put a partition to work that is being given back
	for _, id := range ids {
		p := c.partitions[id]
		if p == nil {
			continue
		}
		parts = append(parts, p)
		p.mu.Lock()
		p.draining = true
		p.mu.Unlock()
		p.stop()
	}
	c.mu.Unlock()
	for _, p := range parts {
		<-p.stopped
	}
	return parts
}

// drained returns how many started records are unfinished.
func drained(parts []*partition) int {
	n := 0
	for _, p := range parts {
		n += p.open()
	}
	return n
}

// wakePartitions has every partition look again whether it may start a record.
func (c *Consumer) wakePartitions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		p.wake()
	}
}

// held returns the partitions at hand, draining ones included.
func (c *Consumer) held() []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.partitions))
}
