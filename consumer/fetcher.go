package consumer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

const (
	// longPoll is how long a broker may wait for records when every partition takes part in the fetch.
	longPoll = 250 * time.Millisecond
	// shortPoll applies when some partitions are left out because they are full: a fetch cannot be taken back, and a long
	// one would leave them dry when they have room again before it returns.
	shortPoll = 10 * time.Millisecond

	maxFetchBytes  = 16 << 20
	fetchBackoff   = 50 * time.Millisecond
	leaderInterval = 2 * time.Second
)

// fetcher runs one loop a leader, each with one fetch on the wire for all partitions that have room.
type fetcher struct {
	consumer *Consumer
	wire     *kafkawire.Client

	failing atomic.Int32 // loops whose last fetch failed, or was refused for a partition

	mu      sync.Mutex
	leaders map[int32]int32       // by partition
	loops   map[int32]wait.Signal // by leader
	wg      sync.WaitGroup
}

func newFetcher(c *Consumer, wire *kafkawire.Client) *fetcher {
	return &fetcher{consumer: c, wire: wire, leaders: map[int32]int32{}, loops: map[int32]wait.Signal{}}
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
		if cause, _ := f.consumer.gate.Waiting(); cause != "" || len(f.standing()) > 0 || f.failing.Load() > 0 {
			f.learnEnds(ctx)
		}
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

// learnEnds asks where the partitions end. Fetches say so too, but during a pause there are none, and while they are
// refused they do not; a lag that stands still while requests pile up would deceive those who watch it.
func (f *fetcher) learnEnds(ctx context.Context) {
	held := f.consumer.held()
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
			wake := wait.NewSignal()
			f.loops[leader] = wake
			f.wg.Go(func() { f.loop(ctx, leader, wake) })
		}
	}
	f.wakeLoops() // a partition may have come to a leader whose loop sleeps because it had none
	return unknown
}

// poke tells the loops that a partition has room, or that there is a new one.
func (f *fetcher) poke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wakeLoops()
}

// wakeLoops requires mu.
func (f *fetcher) wakeLoops() {
	for _, wake := range f.loops {
		wake.Set()
	}
}

// loop fetches from one leader until ctx ends.
func (f *fetcher) loop(ctx context.Context, leader int32, wake <-chan struct{}) {
	tries := 0 // fetches in a row that failed
	for ctx.Err() == nil {
		if cause, changed := f.consumer.gate.Waiting(); cause != "" {
			select { // what would be fetched could only wait
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		partitions, offsets, complete := f.wanted(leader)
		if len(offsets) == 0 {
			select {
			case <-ctx.Done():
			case <-wake:
			}
			continue
		}
		limits := kafkawire.FetchLimits{MaxWait: shortPoll, MaxBytes: maxFetchBytes,
			PartitionMaxBytes: f.consumer.cfg.FetchBytes}
		if complete {
			limits.MaxWait = longPoll
		}
		fetched, err := f.wire.FetchLog(ctx, leader, f.consumer.cfg.Topic, offsets, limits)
		if err == nil {
			err = f.accept(ctx, partitions, offsets, fetched)
		}
		if err == nil {
			if tries > 0 {
				f.failing.Add(-1)
			}
			tries = 0
		} else if ctx.Err() == nil {
			if tries++; tries == 1 {
				f.failing.Add(1)
			}
			f.recover(ctx, leader, err, tries)
		}
	}
}

// wanted collects the leader's partitions that have room. complete says that none was left out.
func (f *fetcher) wanted(leader int32) (
	partitions map[int32]*partition, offsets map[int32]kafkawire.LogPosition, complete bool,
) {
	partitions, offsets, complete = map[int32]*partition{}, map[int32]kafkawire.LogPosition{}, true
	held, now := f.consumer.held(), time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range held {
		if of, known := f.leaders[p.id]; !known || of != leader {
			continue
		}
		if p.resting(now) {
			continue // until long after this fetch has returned
		}
		offset, ok := p.wanted()
		if !ok {
			complete = false
			continue
		}
		partitions[p.id], offsets[p.id] = p, offset
	}
	return partitions, offsets, complete
}

// accept hands out what was fetched and returns the first error of a partition.
func (f *fetcher) accept(
	ctx context.Context, partitions map[int32]*partition, asked map[int32]kafkawire.LogPosition,
	fetched []kafkawire.Fetched,
) error {
	var first error
	for i := range fetched {
		r := &fetched[i]
		p, from := partitions[r.Partition], asked[r.Partition]
		if r.Diverged != nil {
			f.consumer.diverged(p, from.Offset, *r.Diverged)
			continue
		}
		if errors.Is(r.Err, kafka.OffsetOutOfRange) {
			r.Err = f.outOfRange(ctx, p, from)
		}
		if c := asCorrupt(r.Err); c != nil {
			p.accept(r, from.Offset) // the good records before it
			p.corrupt(r.Next, c)
			continue
		}
		if r.Err != nil && len(r.Records) == 0 {
			first = errors.Join(first, r.Err)
			continue
		}
		p.accept(r, from.Offset) // with the good records before an error, if there is one
	}
	return first
}

// recover waits a little and looks for leaders afresh.
func (f *fetcher) recover(ctx context.Context, leader int32, err error, tries int) {
	f.consumer.log.WithLevel(levelOf(err, tries)).Str("event", "fetch_failing").Err(err).
		Str("topic", f.consumer.cfg.Topic).
		Int32("broker", leader).Msg("fetching failed; trying again")
	f.wire.Reset()
	if !wait.Sleep(ctx, fetchBackoff+rand.N(fetchBackoff)) {
		return
	}
	if err := f.refresh(ctx); err != nil && ctx.Err() == nil {
		f.consumer.log.Debug().Err(err).Msg("looking for partition leaders failed")
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
			c.diverged(p, asked.Offset, end)
			return nil
		}
	}
	c.moveBack(p, asked.Offset, bounds[0], "the log ends before the next offset to read, and nothing tells which of its "+
		"records were read (it was committed without a leader epoch, or the brokers know no such epoch): "+
		"all that it holds is read, and answered again")
	return nil
}
