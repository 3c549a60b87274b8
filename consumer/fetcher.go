package consumer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
)

const (
	// longPoll is how long a broker may wait for records when every partition takes part in the fetch.
	longPoll = 250 * time.Millisecond
	// shortPoll applies when some partitions are left out because they are full: a fetch cannot be taken back, and a long
	// one would leave them dry when they have room again before it returns.
	shortPoll = 10 * time.Millisecond

	// fetchInterval is the least time between two fetches of a leader while restAbove records a second come from it, or
	// more. What comes meanwhile is fetched together, and so it is started, asked and answered together: waking up for
	// each of 2,000 requests a second costs more than they do. Where fewer come, each would only come later.
	fetchInterval = 4 * time.Millisecond
	restAbove     = 1000

	// decodeStep is the memory of the records that are decoded at once where they can stay encoded. A partition fetches
	// again when its last step is decoded, so that it is some hundred requests: the fetch must be back before they are
	// all started.
	decodeStep = 128 << 10

	maxFetchBytes  = 16 << 20
	fetchBackoff   = 50 * time.Millisecond
	leaderInterval = 2 * time.Second
)

// fetcher runs one loop a leader, each with one fetch on the wire for all partitions that have room. A connection of
// kafka-go's carries one request at a time, and another is opened for each that comes meanwhile: a fetch a partition
// would be a connection a partition.
type fetcher struct {
	consumer *Consumer
	wire     *kafkawire.Client

	failing atomic.Int32 // loops whose last fetch failed, or was refused for a partition

	mu      sync.Mutex
	leaders map[int32]int32      // by partition
	loops   map[int32]*fetchLoop // by leader
	wg      sync.WaitGroup
}

func newFetcher(c *Consumer, wire *kafkawire.Client) *fetcher {
	return &fetcher{consumer: c, wire: wire, leaders: map[int32]int32{}, loops: map[int32]*fetchLoop{}}
}

// run asks for the leaders again and again, and has a loop for each, until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	tick := time.NewTicker(leaderInterval)
	defer tick.Stop()
	f.wg.Go(func() { f.awaitSkips(ctx) })
	for {
		if err := f.refresh(ctx); err != nil && ctx.Err() == nil {
			f.consumer.log.Debug().Err(err).Msg("looking for partition leaders failed")
		}
		f.learnEnds(ctx, f.unheard(time.Now()))
		for _, p := range f.consumer.held() {
			p.logHeldUp(time.Now())
		}
		select {
		case <-ctx.Done():
			f.wg.Wait()
			return
		case <-tick.C:
		}
	}
}

// unheard returns the partitions of which fetches do not say where they end: during a pause there are none, while they
// are refused they do not, and a partition without room is left out.
func (f *fetcher) unheard(now time.Time) (parts []*partition) {
	held := f.consumer.held()
	if cause, _ := f.consumer.gate.Waiting(); cause != "" || len(f.standing()) > 0 || f.failing.Load() > 0 {
		return held
	}
	for _, p := range held {
		if p.leftOut(now) {
			parts = append(parts, p)
		}
	}
	return parts
}

// learnEnds asks where partitions end; a lag that stands still while requests pile up would deceive those who watch it.
func (f *fetcher) learnEnds(ctx context.Context, held []*partition) {
	if len(held) == 0 {
		return
	}
	ids := make([]int32, 0, len(held))
	for _, p := range held {
		ids = append(ids, p.id)
	}
	topic, now := f.consumer.cfg.Topic, time.Now()
	stable, err := f.wire.ListOffsets(ctx, topic, ids, kafkawire.Latest)
	ends, failed := f.wire.LogEnds(ctx, topic, ids)
	if err = errors.Join(err, failed); err != nil {
		f.consumer.log.Debug().Err(err).Msg("looking for the ends of the partitions failed")
	}
	for _, p := range held {
		p.mu.Lock()
		p.heard(max(p.stable, stable[p.id]), max(p.end, ends[p.id]), now)
		p.mu.Unlock()
	}
}

func (f *fetcher) refresh(ctx context.Context) error {
	unknown := f.consumer.follow(ctx) // during a pause, too, when no fetch tells that the topic was made again
	if unknown != nil {
		f.consumer.wire.Reset()
	}
	leaders, _, err := f.wire.Leaders(ctx, f.consumer.cfg.Topic)
	if err != nil {
		f.wire.Reset()
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaders = leaders
	for _, leader := range leaders {
		if _, ok := f.loops[leader]; !ok && ctx.Err() == nil {
			l := newFetchLoop(f, leader)
			f.loops[leader] = l
			f.wg.Go(func() { l.run(ctx) })
		}
	}
	f.wakeLoops() // a partition may have come to a leader whose loop sleeps because it had none
	return unknown
}

// poke has the loops look at all partitions: some have come, or go, or are read from elsewhere.
func (f *fetcher) poke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wakeLoops()
}

// wakeLoops requires mu.
func (f *fetcher) wakeLoops() {
	for _, l := range f.loops {
		l.all = true
		l.wake.Set()
	}
}

// hasRoom tells the loop of the partition's leader that it has room.
func (f *fetcher) hasRoom(p *partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	leader, known := f.leaders[p.id]
	if l := f.loops[leader]; known && l != nil {
		l.touched = append(l.touched, p)
		l.wake.Set()
	}
}

// outOfRange goes on where the log begins when the offset was deleted by retention. When the log ends before it, it has
// lost its tail: brokers that know the epoch of what was read say where. Only where nothing is known of that, all of
// the log is read: repeated beats lost.
func (f *fetcher) outOfRange(ctx context.Context, p *partition, asked kafkawire.LogPosition) error {
	c := f.consumer
	bounds := [2]int64{}
	for i, at := range []int64{kafkawire.Earliest, kafkawire.Latest} {
		offsets, err := f.wire.ListOffsets(ctx, c.cfg.Topic, []int32{p.id}, at)
		if err != nil {
			return err
		}
		bounds[i] = offsets[p.id]
	}
	switch {
	case asked.Offset < bounds[0]:
		if p.jump(asked.Offset, bounds[0]) {
			c.log.Error().Str("event", "offset_jump").Str("topic", c.cfg.Topic).Int32("partition", p.id).
				Int64("offset", asked.Offset).Int64("continuing_at", bounds[0]).
				Msg("the log does not hold the next offset to read any more (deleted by retention, or by an operator): " +
					"requests were lost before they were read")
			c.obs.OffsetJumped(p.id, asked.Offset, bounds[0])
		}
		return nil
	case asked.Offset <= bounds[1]: // it has grown meanwhile, or does not know the epoch that was named
		p.forgetEpoch(asked.Offset)
		return nil
	}
	if asked.Epoch != kafkawire.NoEpoch {
		end, err := f.wire.EpochEnd(ctx, c.cfg.Topic, p.id, asked.Epoch)
		if err != nil {
			return err
		}
		if end.End >= 0 {
			return c.diverged(p, asked.Offset, end)
		}
	}
	return c.moveBack(p, asked.Offset, bounds[0], "the log ends before the next offset to read, and nothing tells which "+
		"of its records were read (it was committed without a leader epoch, or the brokers know no such epoch): "+
		"all that it holds is read, and answered again")
}
