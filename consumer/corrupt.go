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

// pastCorrupt goes on behind a batch that cannot be read.
func (p *partition) pastCorrupt(offset, to int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining || p.broken == nil || p.broken.From != offset || p.fetchNext != offset || len(p.input) > 0 ||
		to <= offset {
		return false
	}
	p.broken, p.fetchNext, p.epochs = nil, to, epochs{{From: to, Epoch: kafkawire.NoEpoch}}
	p.input <- chunk{next: to}
	return true
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
	if ok && p.pastCorrupt(broken.From, to) {
		c.log.Error().Str("event", "batch_skipped").Str("topic", c.cfg.Topic).Int32("partition", p.id).
			Int64("from", broken.From).Int64("to", to-1).Int64("offsets", to-broken.From).Str("by", by).AnErr("why", broken.Err).
			Msg("an operator has skipped a batch that cannot be read: the requests in it are not answered")
		c.obs.OffsetJumped(p.id, broken.From, to)
		f.poke()
	}
}

// asCorrupt returns what is wrong with a batch, if that is what err says.
func asCorrupt(err error) *kafkawire.CorruptError {
	c, _ := errors.AsType[*kafkawire.CorruptError](err)
	return c
}
