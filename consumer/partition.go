package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// partition is one granted partition: from the grant until it is given back.
//
// The way of a record: fetcher → input → dispatch (room, tracker, lane) → handler → delivery → finish (tracker, room).
type partition struct {
	id        int32
	lease     group.Lease
	log       logID  // that its offsets are about
	noteEpoch int32  // epoch of the note that it started with
	topicID   string // of log, once for all records
	began     int64  // where it started
	consumer  *Consumer

	input    chan chunk // one chunk; while it is full the fetcher leaves the partition out
	stop     context.CancelFunc
	stopped  chan struct{} // dispatch has returned
	revoked  atomic.Bool   // given back: what finishes now is the new owner's
	gone     chan struct{} // closed with that
	released atomic.Bool   // being given back: what no handler has taken is the next owner's
	// metadataFull says that the answered records above the commit offset hardly fit into a commit: none is started.
	metadataFull atomic.Bool
	// commitRefused says that its last commit ended as a refusedCommitError: none is started, as it might be repeated.
	commitRefused atomic.Bool
	mayStart      wait.Signal  // one of these, the partition's own started records or those of others have changed
	held          atomic.Int64 // bytes of the records under way
	freed         wait.Signal  // held has become less

	mu       sync.Mutex
	tracker  tracker
	moved    time.Time // when tracker.next last moved, or when it was last idle
	draining bool

	// What fetches have said (intake.go).
	epochs    epochs
	fetchNext int64       // offset behind what was decoded: that of the next fetch, unless there is a rest
	encoded   bool        // of what was fetched there is a rest, which dispatch has decoded in time
	stable    int64       // last stable offset of the log, as last heard
	end       int64       // high watermark of the log, as last heard
	heardAt   time.Time   // when that was
	behind    time.Time   // since when the log is known to have more, with nothing started since; zero: not
	heldUp    *HeldUp     // at stable; nil: nothing
	broken    *Corruption // at fetchNext; nil: nothing
	skip      skip

	// What is committed (commit.go).
	committed int64     // last offset that was committed by this instance; kafkawire.NoOffset: none yet
	metadata  string    // of that commit
	durable   int64     // all below it is committed, as one of its requests says; 0: none does
	notedAt   time.Time // when that was
	changed   bool      // there may be something to commit: all partitions are looked at, many times a second

	// What its records are counted as (occupancy.go).
	has       occupancy // of the room
	aside     int       // records whose handlers have stepped aside
	left      int       // records that leave has left
	forfeited bool      // its records do not count in the room any more
}

func newPartition(c *Consumer, id int32, lease group.Lease, from position) *partition {
	return &partition{
		id: id, lease: lease, log: from.log, noteEpoch: from.epoch, topicID: from.log.text(), began: from.start, consumer: c,
		input: make(chan chunk, 1), stopped: make(chan struct{}), mayStart: wait.NewSignal(),
		freed: wait.NewSignal(), gone: make(chan struct{}),
		tracker: newTracker(from.start, from.ahead), fetchNext: from.start, stable: from.start, end: from.start,
		epochs: epochs{{From: from.start, Epoch: from.committed.Epoch}}, committed: from.committed.Offset,
		metadata: from.committed.Metadata, moved: time.Now(), changed: true,
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
	for c, ok := p.next(ctx, nil); ok; c, ok = p.next(ctx, c.rest) {
		if !p.start(ctx, &c) {
			return
		}
	}
}

// next returns what is to be started next: of the rest of an answer, else of the next one.
func (p *partition) next(ctx context.Context, rest *kafkawire.Rest) (c chunk, ok bool) {
	if rest != nil {
		c = p.decode(rest)
	} else {
		select {
		case <-ctx.Done():
			return chunk{}, false
		case c = <-p.input:
		}
	}
	if c.rest == nil {
		p.consumer.fetcher.hasRoom(p) // for the next answer
	}
	return c, ctx.Err() == nil
}

// start starts the records of a chunk. It returns false if ctx ended first.
func (p *partition) start(ctx context.Context, c *chunk) bool {
	chunk, ok := p.hold(ctx, c.memory)
	if !ok {
		return false
	}
	for i := range c.records {
		if p.answered(c.records[i].Offset) {
			continue
		}
		if !p.awaitRoom(ctx) {
			return false
		}
		if s := p.begin(ctx, &c.records[i], chunk); p.consumer.lanes.submit(p.consumer.work, s) {
			p.count(occupancy{started: -1, parked: 1})
		}
	}
	chunk.release()
	p.mu.Lock()
	p.tracker.skip(c.next)
	p.stir()
	p.mu.Unlock()
	return true
}

// answered says whether a former owner has answered the record.
func (p *partition) answered(offset int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stir()
	return p.tracker.answered(offset)
}

// begin makes an in-flight request of a record and has the tracker follow it.
func (p *partition) begin(ctx context.Context, r *kafkawire.Record, chunk *hold) *slot {
	s := &slot{partition: p, chunk: chunk.own(r)}
	s.req.Slot, s.req.Stages.Started = s, inflight.Now()
	s.req.Record = schemas.Record{
		Position: schemas.Position{Topic: p.consumer.cfg.Topic, Partition: p.id, Offset: r.Offset},
		Log:      schemas.LogID{TopicID: p.topicID, LeaderEpoch: r.LeaderEpoch},
		Key:      r.Key, Value: r.Value, Headers: r.Headers, Time: r.Time,
		Oversized: r.Oversized,
	}
	s.req.Request, s.req.Err = schemas.DecodeRequest(&s.req.Record)
	if id, framed := schemas.SchemaID(r.Value); framed && p.consumer.frames != nil {
		if refusal := p.consumer.frames.Refuse(ctx, id); refusal != nil {
			s.req.Err = refusal
		}
	}
	if tracer := p.consumer.tracer; tracer != nil {
		s.req.Span = tracer.Begin(&s.req)
	}
	p.mu.Lock()
	if p.tracker.open == 0 {
		p.moved = time.Now() // it was idle until now
	}
	s.ticket = p.tracker.start(r.Offset, s.req.Contract())
	p.tracker.date(r.Time)
	p.behind = time.Time{}
	p.stir() // what lies ahead may be reached
	counted := p.change(occupancy{started: 1})
	p.mu.Unlock()
	if !counted { // forfeited between awaitRoom, which has counted it in the room, and here; its work is left
		p.consumer.room.add(occupancy{started: -1})
	}
	return s
}

// finish lets the commit offset pass a request. One that is pending waits for its commit even if nothing is before it.
func (p *partition) finish(s *slot, pending bool) {
	change := occupancy{started: -1, ahead: 1}
	if s.parked {
		change = occupancy{parked: -1, ahead: 1}
	}
	p.mu.Lock()
	moved := p.tracker.finish(s.ticket)
	p.stir()
	if moved > 0 {
		p.moved = time.Now()
	}
	change.ahead -= moved
	if pending {
		change.due = moved
	}
	counts, draining := p.change(change), p.draining
	p.mu.Unlock()
	if counts {
		p.consumer.room.add(change)
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

// wrote notes that a pending request is committed, and all below it with it.
func (p *partition) wrote(offset int64) {
	p.mu.Lock()
	p.durable = max(p.durable, offset+1)
	p.mu.Unlock()
	p.count(occupancy{due: -1})
	p.wake()
}

// leave leaves a request that no handler has taken to the next owner.
func (p *partition) leave(s *slot) {
	if s.parked {
		p.count(occupancy{parked: -1})
	} else {
		p.count(occupancy{started: -1})
	}
	p.mu.Lock()
	p.left++
	p.mu.Unlock()
	p.consumer.progress.Set()
}
