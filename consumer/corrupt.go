package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
)

// Skips are what operators have decided about batches that cannot be read.
type Skips interface {
	// Skip returns where to go on instead of at an offset of such a batch, and who decided so; ok is false while that is
	// undecided.
	Skip(ctx context.Context, partition int32, offset int64) (to int64, by string, ok bool, err error)
}

// Corruption is a batch of a partition that cannot be decoded. Asking again is tried, but hardly helps: an operator
// decides.
type Corruption struct {
	From, To int64 // offsets that are not read, To not included, as far as the batch's head can be believed
	Err      error
	Since    time.Time
	Tries    int
	until    time.Time // when to ask again
}

// How long a partition with such a batch is left alone: doubled with each try.
const (
	corruptPause    = 500 * time.Millisecond
	maxCorruptPause = 30 * time.Second
	skipTimeout     = 10 * time.Second
)

// corrupt notes that the batch at the offset that was asked for cannot be decoded. Only its own partition is kept
// waiting by it.
func (p *partition) corrupt(asked int64, why *kafkawire.CorruptError) {
	p.mu.Lock()
	if p.draining || p.fetchNext != asked {
		p.mu.Unlock()
		return
	}
	if skip := p.skip; asked < skip.to && p.room() {
		to := p.goOnAt(min(skip.to, why.Beyond(asked)))
		p.mu.Unlock()
		p.skipped(asked, to, skip.by, why)
		return
	}
	now := time.Now()
	c := Corruption{From: asked, Since: now}
	if p.broken != nil && p.broken.From == asked {
		c = *p.broken
	}
	c.To, c.Err = why.Beyond(asked), why
	c.Tries++
	pause := min(maxCorruptPause, corruptPause<<min(c.Tries-1, 10))
	c.until = now.Add(pause/2 + rand.N(pause/2))
	p.broken = &c // a new one: Status hands it out
	p.mu.Unlock()
	topic := p.consumer.cfg.Topic
	p.consumer.log.WithLevel(levelOf(why, c.Tries)).Str("event", "batch_unreadable").Err(why).
		Str("topic", topic).Int32("partition", p.id).Int64("from", c.From).Int64("to", c.To-1).Int("tries", c.Tries).
		Str("command", p.skipCommand(c.From)).
		Msg("a batch cannot be read, and its partition stands still: other partitions go on; " +
			"trying again until an operator skips it")
}

func (p *partition) skipCommand(offset int64) string {
	return fmt.Sprintf("balanceq skip --partition %d --offset %d", p.id, offset)
}

// resting says that the partition is to be left alone still.
func (p *partition) resting(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken != nil && now.Before(p.broken.until)
}

// skip is what an operator has decided: to pass over what cannot be read, up to an offset. It ends with the first
// record that can be read.
type skip struct {
	to int64
	by string
}

// pastCorrupt goes on behind a batch that cannot be read, and says where. A decision may reach further, as a batch
// whose head is nonsense does not say where it ends; what it says is not believed either, as each writer of the topic
// of replays can make one. So each batch is tried, and what can be read is not passed over.
func (p *partition) pastCorrupt(offset int64, decided skip) (to int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.broken == nil || p.broken.From != offset || p.fetchNext != offset || !p.room() ||
		decided.to <= offset {
		return 0, false
	}
	p.skip = decided
	return p.goOnAt(min(decided.to, p.broken.To)), true
}

// goOnAt requires mu and room.
func (p *partition) goOnAt(to int64) int64 {
	p.broken, p.fetchNext, p.epochs = nil, to, epochs{{From: to, Epoch: kafkawire.NoEpoch}}
	p.input <- chunk{next: to}
	return to
}

// skipped says what was passed over.
func (p *partition) skipped(from, to int64, by string, why error) {
	c := p.consumer
	c.log.Error().Str("event", "batch_skipped").Str("topic", c.cfg.Topic).Int32("partition", p.id).
		Int64("from", from).Int64("to", to-1).Int64("offsets", to-from).Str("by", by).AnErr("why", why).
		Msg("an operator has skipped a batch that cannot be read: the requests in it are not answered")
	c.obs.OffsetJumped(p.id, from, to)
}

// standing are the partitions with a batch that cannot be read.
func (f *fetcher) standing() (broken map[*partition]*Corruption) {
	broken = map[*partition]*Corruption{}
	for _, p := range f.consumer.held() {
		p.mu.Lock()
		if p.broken != nil {
			broken[p] = p.broken
		}
		p.mu.Unlock()
	}
	return broken
}

// awaitSkips asks what operators have decided about such batches, until ctx ends.
func (f *fetcher) awaitSkips(ctx context.Context) {
	if f.consumer.skips == nil {
		return
	}
	tick := time.NewTicker(leaderInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for p, broken := range f.standing() {
			f.askSkip(ctx, p, broken)
		}
	}
}

func (f *fetcher) askSkip(ctx context.Context, p *partition, broken *Corruption) {
	c := f.consumer
	ctx, cancel := context.WithTimeout(ctx, skipTimeout)
	defer cancel()
	to, by, ok, err := c.skips.Skip(ctx, p.id, broken.From)
	if err != nil {
		c.log.WithLevel(levelOf(err, broken.Tries)).Str("event", "skip_lookup_failing").Err(err).Int32("partition", p.id).
			Msg("looking in the topic of replays whether an operator has skipped a batch failed; trying again")
		return
	}
	if !ok {
		return
	}
	if to, ok := p.pastCorrupt(broken.From, skip{to, by}); ok {
		p.skipped(broken.From, to, by, broken.Err)
		f.poke()
	}
}

// asCorrupt returns what is wrong with a batch, if that is what err says.
func asCorrupt(err error) *kafkawire.CorruptError {
	c, _ := errors.AsType[*kafkawire.CorruptError](err)
	return c
}
