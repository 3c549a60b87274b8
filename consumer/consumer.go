package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
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
	// RunAhead is how many records may be started and have no outcome, over all partitions. Each partition has an equal
	// share, more where MaxInFlight would not be used up, and may always have 16, which come on top. What waits behind
	// others of its contract is counted for itself, up to four times as many.
	RunAhead int
	// Ahead is how many records may have an outcome and wait for the commit, because one before them has none, or because
	// the delivery holds it back: over all partitions, of which each may have as many as are left, and always 16.
	Ahead      int
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
	Answered(req *inflight.Request, outcome string, reason schemas.Reason)
	// Committed is called after each commit; err is nil when it worked.
	Committed(took time.Duration, err error)
	// OffsetJumped is called when records between two offsets could not be read any more.
	OffsetJumped(partition int32, from, to int64)
	// Rebalanced is called when partitions have come or gone, for one of the Rebalance reasons.
	Rebalanced(reason string)
	// Drained is called when partitions that were asked back are given back.
	Drained(took time.Duration)
}

// Reasons of Observer.Rebalanced.
const (
	RebalanceAssigned = "assigned" // partitions came
	RebalanceRevoked  = "revoked"  // partitions were asked back, also because this instance stops
	RebalanceLost     = "lost"     // the group has given them to others without asking
)

// RebalanceReasons are all of them.
var RebalanceReasons = []string{RebalanceAssigned, RebalanceRevoked, RebalanceLost}

// Tracer decides which requests are followed.
type Tracer interface {
	// Begin returns the span of a request that was read, or nil where it is not sampled. It is called for every record.
	Begin(req *inflight.Request) inflight.Span
}

// Frames checks the schema ids that requests are framed with.
type Frames interface {
	// Refuse says what is wrong with a request that is framed with this id; nil: nothing. It may take seconds for an id
	// that it does not know, in which the partition is not read on, and returns early when ctx ends.
	Refuse(ctx context.Context, id uint32) *schemas.RequestError
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
	tracer   Tracer // nil: nothing is traced
	frames   Frames // nil: schema ids are not looked at
	lanes    *lanes
	fetcher  *fetcher
	room     *room
	// Run's, for handlers and what Grant starts: it outlives the intake by the drain.
	work     context.Context //nolint:containedctx // see above
	progress wait.Signal     // something finished while draining
	moved    wait.Signal     // a commit offset has moved
	stirred  wait.Signal     // something has happened in a partition, after nothing had to be committed of it

	commitMu   sync.Mutex                // one commit at a time: a later one must not be overtaken by an earlier one
	lastCommit atomic.Pointer[time.Time] // when the last commit that worked was sent, with its monotonic reading
	refused    int                       // commits that failed since then; guarded by commitMu
	noteLimit  int                       // characters of metadata that a commit may carry; guarded by commitMu

	fail context.CancelCauseFunc // ends Run, for what trying again does not cure

	mu         sync.Mutex
	partitions map[int32]*partition
	sorted     []*partition        // partitions, by id; nil: they have changed
	starting   map[int32]*starting // granted, start not known yet
	joined     bool                // some partition has started and not been given back, or there is none for this one
	lease      group.Lease         // of the last grant; nil: there was none
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
	Tracer   Tracer // nil: nothing is traced
	Frames   Frames // nil: the schema ids of requests are not looked at
}

// New makes a consumer that has not joined yet.
func New(cfg Config, parts Parts) *Consumer {
	c := &Consumer{
		cfg: cfg, wire: parts.Offsets, member: parts.Member, delivery: parts.Delivery, gate: parts.Gate, skips: parts.Skips,
		log: parts.Log, obs: parts.Observer, tracer: parts.Tracer, frames: parts.Frames,
		lanes:      newLanes(parts.Handler, cfg.MaxInFlight),
		progress:   wait.NewSignal(),
		moved:      wait.NewSignal(),
		stirred:    wait.NewSignal(),
		partitions: map[int32]*partition{},
		starting:   map[int32]*starting{},
		former:     map[kafkawire.TopicID]bool{},
		noteLimit:  aheadLimit,
	}
	c.fetcher = newFetcher(c, parts.Fetch)
	c.room = newRoom(cfg.RunAhead, cfg.MaxInFlight, cfg.Ahead, c.wakePartitions)
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

// wakePartitions has every partition look again whether it may start a record.
func (c *Consumer) wakePartitions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.partitions {
		p.wake()
	}
}

// held returns the partitions at hand by ascending id, draining ones included. It is asked for many times a second and
// changes with rebalances only, so all share the slice: it must not be changed.
func (c *Consumer) held() []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sorted == nil {
		c.sorted = slices.SortedFunc(maps.Values(c.partitions), func(a, b *partition) int { return cmp.Compare(a.id, b.id) })
	}
	return c.sorted
}
