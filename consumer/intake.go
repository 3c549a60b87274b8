package consumer

import (
	"slices"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
)

// chunk is a portion of what one fetch returned for a partition.
type chunk struct {
	records []kafkawire.Record
	memory  int // bytes that the records take
	next    int64
	rest    *kafkawire.Rest // that follows; nil: what follows is fetched
}

// room says that the partition takes what a fetch returns. One chunk waits here while the one before is started: else
// each fetch would wait until the last record of that one has found room in the window. More would only hold memory. It
// requires mu.
func (p *partition) room() bool { return len(p.input) == 0 && !p.encoded }

// wanted returns the offset to fetch from, when there is room for what comes.
func (p *partition) wanted() (from kafkawire.LogPosition, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from = kafkawire.LogPosition{Topic: p.log.topic, Offset: p.fetchNext, Epoch: p.epochs.at(p.fetchNext)}
	return from, p.room() && !p.draining && !p.revoked.Load()
}

// leftOut says that fetches have left it out for some time, as it has no room.
func (p *partition) leftOut(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.room() && now.Sub(p.heardAt) >= leaderInterval/2
}

// accept takes what a fetch returned. Only the fetcher puts chunks in, and only into an empty input, so it never
// blocks.
func (p *partition) accept(f *kafkawire.Fetched, asked int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.revoked.Load() || p.fetchNext != asked || !p.room() {
		return
	}
	defer func() { p.heard(f.Stable, f.End, time.Now()) }() // with the offset to fetch from next
	if f.Next == asked {
		return
	}
	p.input <- p.take(&f.Portion)
}

// decode takes the next portion of the rest of an answer.
func (p *partition) decode(rest *kafkawire.Rest) chunk {
	d := rest.Decode()
	p.mu.Lock()
	c := p.take(&d)
	p.mu.Unlock()
	if why := asCorrupt(d.Err); why != nil {
		p.corrupt(d.Next, why)
	}
	return c
}

// take notes what was decoded. It requires mu.
//
// A former owner that names requests above its offset as answered (noteEpoch) has read none of what was written under a
// later epoch: where that lies below them, the log has lost its end since, and other requests are there now.
func (p *partition) take(d *kafkawire.Portion) chunk {
	if p.noteEpoch != kafkawire.NoEpoch {
		if i := slices.IndexFunc(d.Epochs, func(s kafkawire.EpochStart) bool { return s.Epoch > p.noteEpoch }); i >= 0 {
			p.tracker.forget(d.Epochs[i].From)
		}
	}
	p.epochs = p.epochs.trim(p.committed).add(d.Epochs)
	p.fetchNext, p.broken, p.encoded = d.Next, nil, d.Rest != nil
	if len(d.Records) > 0 {
		p.skip = skip{}
	}
	return chunk{records: d.Records, memory: d.Memory, next: d.Next, rest: d.Rest}
}

// jump goes on at a later offset, because the log does not hold the one that was asked for any more.
func (p *partition) jump(asked, to int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.fetchNext != asked || !p.room() {
		return false
	}
	p.fetchNext, p.broken = to, nil
	p.epochs = epochs{{From: to, Epoch: kafkawire.NoEpoch}}
	p.input <- chunk{next: to}
	return true
}
