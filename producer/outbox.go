package producer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// outbox holds the outcomes that are pending, each partition's in the order of its offsets, until the committer removes
// them. It is safe for concurrent use.
type outbox struct {
	limit int // bytes

	mu         sync.Mutex
	waiting    line[*pending] // for which there is no room
	partitions map[int32][]*pending
	bytes      int
}

// pending is an outcome that is not committed.
type pending struct {
	schemas.Position // of its record
	req              *inflight.Request
	messages         []addressed
	size             int
	since            time.Time
}

// addressed is one message of an outcome.
type addressed struct {
	topic     string
	partition int32 // or Keyed
	entry     entry
}

func newPending(req *inflight.Request, messages []addressed) *pending {
	p := &pending{Position: req.Record.Position, req: req, messages: messages, since: time.Now()}
	p.measure()
	return p
}

func (p *pending) measure() {
	p.size = 0
	for i := range p.messages {
		p.size += p.messages[i].entry.size
	}
}

// free gives back the memory of messages that are in the log, all of them.
func (p *pending) free() {
	for i := range p.messages {
		p.messages[i].entry.free()
	}
}

func newOutbox(limit int) *outbox { return &outbox{limit: limit, partitions: map[int32][]*pending{}} }

// put adds an outcome when there is room for it and for all that came before it, or when it is exempt. It returns ctx's
// error if that ends first.
func (o *outbox) put(ctx context.Context, p *pending) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting.waiting) == 0 && o.room(p) || o.exempt(p) {
		o.add(p)
		return nil
	}
	err := o.waiting.wait(ctx, &o.mu, p)
	if err != nil {
		o.advance() // those behind one that gave up
	}
	return err
}

// admitWaiting lets in those that wait and have become exempt.
func (o *outbox) admitWaiting() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance()
}

// advance requires mu.
func (o *outbox) advance() {
	if len(o.waiting.waiting) > 0 {
		o.waiting.advance(o.room, o.exempt, o.add)
	}
}

// room requires mu.
func (o *outbox) room(p *pending) bool { return o.bytes == 0 || o.bytes+p.size <= o.limit }

// exempt requires mu. With the buffer full of outcomes that wait for earlier records, those records' outcomes must get
// in, or nothing would ever be committed. So a partition's first one does, unless an earlier one is here already: then
// a commit makes room. That is one outcome a partition beyond the bound. One whose partition was given back takes no
// room.
func (o *outbox) exempt(p *pending) bool {
	return !p.req.Owned() || p.req.First() && len(o.prefix(p.Partition, p.Offset)) == 0
}

// add requires mu.
func (o *outbox) add(p *pending) {
	if !p.req.Owned() {
		return
	}
	list := o.partitions[p.Partition]
	at, _ := slices.BinarySearchFunc(list, p.Offset, byOffset)
	o.partitions[p.Partition] = slices.Insert(list, at, p)
	o.bytes += p.size
}

func byOffset(p *pending, offset int64) int { return cmp.Compare(p.Offset, offset) }

// below returns the outcomes of the records of a partition below an offset, in order.
func (o *outbox) below(partition int32, offset int64) []*pending {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.prefix(partition, offset))
}

// prefix requires mu, also for as long as its result is used.
func (o *outbox) prefix(partition int32, offset int64) []*pending {
	list := o.partitions[partition]
	n, _ := slices.BinarySearchFunc(list, offset, byOffset)
	return list[:n]
}

// remove removes those of a partition for which gone is true. It requires mu.
func (o *outbox) remove(partition int32, gone func(*pending) bool) {
	list := slices.DeleteFunc(o.partitions[partition], func(p *pending) bool {
		if !gone(p) {
			return false
		}
		o.bytes -= p.size
		return true
	})
	if o.partitions[partition] = list; len(list) == 0 {
		delete(o.partitions, partition)
	}
}

// removeCommitted removes the outcomes of records below the offsets, which are in the log, and tells their requests.
// Only the committer calls it, while it has none of them in a queue.
func (o *outbox) removeCommitted(below Offsets) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for partition, offset := range below {
		o.remove(partition, func(p *pending) bool {
			gone := p.Offset < offset.Offset
			if gone && p.req.Owned() {
				p.req.Committed()
			}
			if gone {
				p.free()
			}
			return gone
		})
	}
	o.advance()
}

// removeRevoked removes the outcomes of partitions that have been given back.
func (o *outbox) removeRevoked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for partition := range o.partitions {
		o.remove(partition, func(p *pending) bool { return !p.req.Owned() })
	}
	o.advance()
}

// owned returns the partitions of pending outcomes that this instance still owns.
func (o *outbox) owned() (partitions []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for partition, list := range o.partitions {
		if slices.ContainsFunc(list, func(p *pending) bool { return p.req.Owned() }) {
			partitions = append(partitions, partition)
		}
	}
	return partitions
}

// covered lowers committed offsets to the first outcome of each partition that they do not cover.
func (o *outbox) covered(committed Offsets) Offsets {
	o.mu.Lock()
	defer o.mu.Unlock()
	lowered := Offsets{}
	for partition, offset := range committed {
		lowered[partition] = offset
		for _, p := range o.prefix(partition, offset.Offset) {
			if p.req.Owned() && !p.req.CoveredBy(offset) {
				lowered[partition] = kafkawire.OffsetAndMetadata{Offset: p.Offset}
				break
			}
		}
	}
	return lowered
}

// change lets the committer give a pending message another form. It finds it by its topic and request, and returns
// false if that was given back meanwhile. do must not block.
func (o *outbox) change(topic string, of *inflight.Request, do func(p *pending, m *addressed)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.partitions[of.Record.Partition] {
		if p.req != of {
			continue
		}
		i := slices.IndexFunc(p.messages, func(m addressed) bool { return m.topic == topic })
		if i < 0 {
			return false
		}
		o.bytes -= p.size
		do(p, &p.messages[i])
		p.measure()
		o.bytes += p.size
		return true
	}
	return false
}

func (o *outbox) buffered() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}
