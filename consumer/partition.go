package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// chunk is what one fetch returned for a partition.
type chunk struct {
	records []kafkawire.Record
	memory  int // bytes that the records take
	next    int64
}

// partition is one granted partition: from the grant until it is given back.
//
// The way of a record: fetcher → input → dispatch (room, tracker, lane) → handler → delivery → finish (tracker, room).
type partition struct {
	id       int32
	lease    group.Lease
	log      logID  // that its offsets are about
	topicID  string // of log, once for all records
	began    int64  // where it started
	consumer *Consumer

	input   chan chunk // one chunk; while it is full the fetcher leaves the partition out
	stop    context.CancelFunc
	stopped chan struct{} // dispatch has returned
	revoked atomic.Bool   // given back: what finishes now is the new owner's
	gone    chan struct{} // closed with that
	// metadataFull says that the answered records above the commit offset hardly fit into a commit: none is started.
	metadataFull atomic.Bool
	mayStart     wait.Signal  // metadataFull, the partition's own started records or those of others have changed
	held         atomic.Int64 // bytes of the records under way
	freed        wait.Signal  // held has become less

	mu        sync.Mutex
	tracker   tracker
	epochs    epochs
	fetchNext int64     // offset of the next fetch
	stable    int64     // last stable offset of the log, as last heard
	end       int64     // high watermark of the log, as last heard
	heldUp    *HeldUp   // at stable; nil: nothing
	committed int64     // last offset that was committed by this instance; kafkawire.NoOffset: none yet
	metadata  string    // of that commit
	notedAt   time.Time // when that was
	moved     time.Time
	draining  bool
	broken    *Corruption // at fetchNext; nil: nothing
	forfeited bool        // its records do not count in the room any more
}

func newPartition(c *Consumer, id int32, lease group.Lease, from position) *partition {
	return &partition{
		id: id, lease: lease, log: from.log, topicID: from.log.text(), began: from.start, consumer: c,
		input: make(chan chunk, 1), stopped: make(chan struct{}), mayStart: wait.NewSignal(),
		freed: wait.NewSignal(), gone: make(chan struct{}),
		tracker: newTracker(from.start, from.ahead), fetchNext: from.start, stable: from.start, end: from.start,
		epochs: epochs{{From: from.start, Epoch: from.committed.Epoch}}, committed: from.committed.Offset,
		metadata: from.committed.Metadata, moved: time.Now(),
	}
}

// revoke notes that the partition is given back, or that its log is not the one it was.
func (p *partition) revoke() {
	if p.revoked.CompareAndSwap(false, true) {
		close(p.gone)
	}
}

// dispatch starts records as the window allows, until ctx ends. What it has not started by then is the next owner's.
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
		chunk, ok := p.hold(ctx, c.memory)
		if !ok {
			return
		}
		for i := range c.records {
			if p.answered(c.records[i].Offset) {
				continue
			}
			if !p.awaitRoom(ctx) {
				return
			}
			p.consumer.lanes.submit(p.consumer.work, p.begin(&c.records[i], chunk))
		}
		chunk.release()
		p.mu.Lock()
		p.tracker.skip(c.next)
		p.mu.Unlock()
	}
}

// answered says whether a former owner has answered the record.
func (p *partition) answered(offset int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.answered(offset)
}

// awaitRoom waits until another record may be started, and counts it in the room.
func (p *partition) awaitRoom(ctx context.Context) bool {
	r, counted := p.consumer.room, false
	defer func() {
		if counted {
			r.starved.Add(-1)
		}
	}()
	for ctx.Err() == nil {
		if !p.metadataFull.Load() {
			ok, starved := r.take(p.open()) // only dispatch starts records of it, so there can only be fewer
			if ok {
				return true
			}
			if starved && !counted {
				counted = true
				r.starved.Add(1)
				continue
			}
			if !starved && counted {
				counted = false
				r.starved.Add(-1)
			}
		}
		select {
		case <-ctx.Done():
		case <-p.mayStart:
		}
	}
	return false
}

// wake has dispatch look again whether there is room.
func (p *partition) wake() {
	p.mayStart.Set()
}

// forfeit counts what was started and is not finished out of the room, and returns how many records that are. The
// partition is another owner's then, and dispatch of others must not wait for what may never finish here.
func (p *partition) forfeit() int {
	p.mu.Lock()
	p.forfeited = true
	open := p.tracker.open
	p.mu.Unlock()
	p.consumer.room.give(open)
	return open
}

// begin makes an in-flight request of a record and has the tracker follow it.
func (p *partition) begin(r *kafkawire.Record, chunk *hold) *slot {
	s := &slot{partition: p, chunk: chunk}
	chunk.users.Add(1)
	s.req.Slot = s
	s.req.Record = schemas.Record{
		Position: schemas.Position{Topic: p.consumer.cfg.Topic, Partition: p.id, Offset: r.Offset},
		Log:      schemas.LogID{TopicID: p.topicID, LeaderEpoch: r.LeaderEpoch},
		Key:      r.Key, Value: r.Value, Headers: r.Headers, Time: r.Time,
		Oversized: r.Oversized,
	}
	s.req.Request, s.req.Err = schemas.DecodeRequest(&s.req.Record)
	p.mu.Lock()
	if p.tracker.open == 0 {
		p.moved = time.Now() // it was idle until now
	}
	s.ticket = p.tracker.start(r.Offset, s.req.Contract())
	forfeited := p.forfeited
	p.mu.Unlock()
	if forfeited { // between awaitRoom and here; its work is left
		p.consumer.room.give(1)
	}
	return s
}

// finish lets the commit offset pass a request.
func (p *partition) finish(s *slot) {
	p.mu.Lock()
	moved := p.tracker.finish(s.ticket)
	if moved > 0 {
		p.moved = time.Now()
	}
	draining, forfeited := p.draining, p.forfeited
	p.mu.Unlock()
	if moved > 0 && !forfeited {
		p.consumer.room.give(moved)
		p.wake()
	}
	s.chunk.release()
	if moved > 0 {
		p.consumer.moved.Set()
	}
	if draining {
		p.consumer.progress.Set()
	}
}

// wanted returns the offset to fetch from, when there is room for what comes.
func (p *partition) wanted() (from kafkawire.LogPosition, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from = kafkawire.LogPosition{Topic: p.log.topic, Offset: p.fetchNext, Epoch: p.epochs.at(p.fetchNext)}
	return from, len(p.input) == 0 && !p.draining && !p.revoked.Load()
}

// accept takes what a fetch returned. Only the fetcher puts chunks in, and only into an empty input, so it never
// blocks.
func (p *partition) accept(f *kafkawire.Fetched, asked int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.revoked.Load() || p.fetchNext != asked || len(p.input) > 0 {
		return
	}
	defer func() { p.heard(f.Stable, f.End, time.Now()) }() // with the offset to fetch from next
	if f.Next == asked {
		return
	}
	p.epochs = p.epochs.trim(p.committed).add(f.Epochs)
	p.fetchNext, p.broken = f.Next, nil
	p.input <- chunk{records: f.Records, memory: f.Memory, next: f.Next}
}

// jump goes on at a later offset, because the log does not hold the one that was asked for any more.
func (p *partition) jump(asked, to int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.fetchNext != asked || len(p.input) > 0 {
		return false
	}
	p.fetchNext, p.broken = to, nil
	p.epochs = epochs{{From: to, Epoch: kafkawire.NoEpoch}}
	p.input <- chunk{next: to}
	return true
}

// open returns how many started records are not yet behind the commit offset. A fenced partition waits for none.
func (p *partition) open() int {
	if p.revoked.Load() {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.open
}

// toCommit returns what to commit, if it has changed. limit is how many characters the metadata may have, 0: none. It
// says which log the offset is about and which requests above it are answered.
//
// It also lets intake go on or wait: whatever finishes until the next commit would be repeated by a crash anyhow, so it
// is soon enough to look at each commit.
func (p *partition) toCommit(limit int) (kafkawire.OffsetAndMetadata, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, all := p.note(p.tracker.next, p.answeredSoFar().Above, limit)
	// What lies between stretches that are named already must be started, or it could never join them.
	full := limit > minNote && (!all || len(o.Metadata) > limit/4*3) && len(p.tracker.ahead) == 0
	p.metadataFull.Store(full)
	if !full {
		p.wake()
	}
	due := p.draining || time.Since(p.notedAt) >= time.Duration(len(o.Metadata))*time.Second/noteRate
	return o, o.Offset != p.committed || o.Metadata != p.metadata && due
}

// answeredSoFar requires mu.
func (p *partition) answeredSoFar() Progress {
	committed := p.committed
	if committed == kafkawire.NoOffset {
		committed = p.began
	}
	return p.consumer.delivery.Answered(Progress{Committed: committed, Next: p.tracker.next, Above: p.tracker.above()})
}

func (p *partition) noteCommitted(o kafkawire.OffsetAndMetadata) {
	p.mu.Lock()
	p.committed, p.metadata, p.notedAt = o.Offset, o.Metadata, time.Now()
	p.mu.Unlock()
}
