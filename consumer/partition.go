package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"balanceq/kafkawire"
	"balanceq/schemas"
)

// item is a record between its fetch and its acknowledgement.
type item struct {
	schemas.Inquiry
	record    schemas.Record
	partition *partition
	ticket    ticket
	turn      uint64       // order of submission over all partitions; the lanes' own
	writes    atomic.Int32 // messages of its outcome that are not acknowledged yet
	outcome   string       // for the observer
	reason    schemas.Reason
}

// settle hands the outcome to the delivery. An item whose partition was given back is dropped: its new owner answers it,
// and an answer of ours could come out after a newer one of theirs.
func (it *item) settle(ctx context.Context, out schemas.Outcome) {
	p := it.partition
	if p.revoked.Load() {
		return
	}
	n := int32(0)
	if out.Result != nil {
		it.outcome = out.Result.Outcome
		n++
	}
	if out.DeadLetter != nil {
		it.outcome, it.reason = OutcomeDeadLetter, out.DeadLetter.Reason
		n++
	}
	it.writes.Store(n)
	if err := p.consumer.delivery.Deliver(ctx, &it.Inquiry, out, it); err != nil && ctx.Err() == nil {
		p.consumer.log.Error().Err(err).Stringer("record", it.record.Position).Msg("an outcome could not be handed over; its request is read again after a restart")
	}
}

// Acknowledged implements Acknowledger.
func (it *item) Acknowledged() {
	if it.writes.Add(-1) == 0 {
		it.partition.finish(it)
	}
}

// chunk is what one fetch returned for a partition.
type chunk struct {
	records []kafkawire.Record
	next    int64
	restart bool // the log does not reach back to (or up to) our offset: forget everything, go on at next
}

// partition is one granted partition: from the grant until it is given back.
//
// The way of a record: fetcher → input → dispatch (window, tracker, lane) → handler → delivery → finish (tracker, window).
type partition struct {
	id       int32
	epoch    Epoch
	consumer *Consumer

	input   chan chunk    // one chunk; while it is full the fetcher leaves the partition out
	window  chan struct{} // one token a started record: bounds how far work runs ahead of the committed offset
	stop    context.CancelFunc
	stopped chan struct{} // dispatch has returned
	revoked atomic.Bool   // given back: what finishes now belongs to somebody else

	mu        sync.Mutex
	tracker   tracker
	fetchNext int64 // offset of the next fetch
	stable    int64 // last stable offset of the log, as last heard
	committed int64 // last offset that was committed by us; kafkawire.NoOffset: none yet
	moved     time.Time
	draining  bool
}

func newPartition(c *Consumer, id int32, epoch Epoch, start, committed int64, window int) *partition {
	return &partition{
		id: id, epoch: epoch, consumer: c,
		input: make(chan chunk, 1), window: make(chan struct{}, window), stopped: make(chan struct{}),
		tracker: newTracker(start), fetchNext: start, stable: start, committed: committed, moved: time.Now(),
	}
}

// dispatch starts records as the window allows, until ctx ends. What it has not started by then was never ours.
func (p *partition) dispatch(ctx context.Context) {
	defer close(p.stopped)
	for {
		var c chunk
		select {
		case <-ctx.Done():
			return
		case c = <-p.input:
			p.consumer.fetcher.poke() // there is room for the next chunk
		}
		if c.restart && !p.restart(ctx, c.next) {
			return
		}
		for i := range c.records {
			select {
			case <-ctx.Done():
				return
			case p.window <- struct{}{}:
			}
			p.consumer.lanes.submit(p.consumer.work, p.begin(&c.records[i]))
		}
		p.mu.Lock()
		p.tracker.skip(c.next)
		p.mu.Unlock()
	}
}

// begin makes an item of a record and puts it on the books.
func (p *partition) begin(r *kafkawire.Record) *item {
	it := &item{partition: p}
	it.record = schemas.Record{
		Position: schemas.Position{Topic: p.consumer.cfg.Topic, Partition: p.id, Offset: r.Offset},
		Key:      r.Key, Value: r.Value, Time: r.Time,
	}
	if len(r.Headers) > 0 {
		it.record.Headers = make([]schemas.Header, len(r.Headers))
		for i, h := range r.Headers {
			it.record.Headers[i] = schemas.Header(h)
		}
	}
	it.Record, it.Ticket = &it.record, it
	it.Request, it.Err = schemas.DecodeRequest(&it.record)
	p.mu.Lock()
	if p.tracker.open == 0 {
		p.moved = time.Now() // it was idle until now
	}
	it.ticket = p.tracker.start(r.Offset)
	p.mu.Unlock()
	return it
}

// finish takes a record off the books.
func (p *partition) finish(it *item) {
	p.mu.Lock()
	moved := p.tracker.finish(it.ticket)
	if moved > 0 {
		p.moved = time.Now()
	}
	draining := p.draining
	p.mu.Unlock()
	for range moved {
		<-p.window
	}
	p.consumer.obs.Settled(it.outcome, it.reason)
	if draining {
		p.consumer.signalProgress()
	}
}

// restart waits until nothing is under way, which is when every token of the window can be had, and goes on at offset.
func (p *partition) restart(ctx context.Context, offset int64) bool {
	for n := range cap(p.window) {
		select {
		case <-ctx.Done():
			for range n {
				<-p.window
			}
			return false
		case p.window <- struct{}{}:
		}
	}
	p.mu.Lock()
	p.tracker.reset(offset)
	p.mu.Unlock()
	for range cap(p.window) {
		<-p.window
	}
	return true
}

// wanted returns the offset to fetch from, when there is room for what comes.
func (p *partition) wanted() (offset int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetchNext, len(p.input) == 0 && !p.draining
}

// accept takes what a fetch returned. Only the fetcher puts chunks in, and only into an empty input, so it never blocks.
func (p *partition) accept(f *kafkawire.Fetched, asked int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.fetchNext != asked {
		return
	}
	p.stable = f.Stable
	if f.Next == asked {
		return
	}
	p.fetchNext = f.Next
	p.input <- chunk{records: f.Records, next: f.Next}
}

// jump goes on at another offset, because the log no longer holds (or does not yet hold) the one we asked for.
func (p *partition) jump(asked, to int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.fetchNext != asked || len(p.input) > 0 {
		return false
	}
	p.fetchNext = to
	p.input <- chunk{next: to, restart: true}
	return true
}

// open returns how many started records are not yet behind the commit offset.
func (p *partition) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.open
}

// toCommit returns the offset to commit, if it has moved or always is set.
func (p *partition) toCommit(always bool) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.next, always || p.tracker.next != p.committed
}

func (p *partition) noteCommitted(offset int64) {
	p.mu.Lock()
	p.committed = offset
	p.mu.Unlock()
}
