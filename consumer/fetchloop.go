package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// fetchLoop fetches from one leader, with one fetch on the wire. Most partitions of many have nothing to read for most
// of the time, so it looks only at those of which it has heard something, and the broker is only told of those.
type fetchLoop struct {
	*fetcher
	leader int32
	wake   wait.Signal

	// guarded by fetcher.mu
	touched []*partition // have room again
	all     bool         // look at each: once after each change of partitions or leaders, and every leaderInterval

	// the loop's own
	session *kafkawire.FetchSession
	wanted  map[int32]*partition // that the session asks for
	full    map[int32]struct{}   // left out because they have no room
	again   []*partition         // to be looked at before the next fetch
	looking []*partition         // look's, to be used again
	asked   time.Time            // when the last fetch was sent
	heard   time.Time            // when it was answered
	rests   bool                 // the next one keeps fetchInterval
}

func newFetchLoop(f *fetcher, leader int32) *fetchLoop {
	return &fetchLoop{
		fetcher: f, leader: leader, wake: wait.NewSignal(), all: true,
		session: f.wire.FetchSession(leader, f.consumer.cfg.Topic),
		wanted:  map[int32]*partition{}, full: map[int32]struct{}{},
	}
}

// run fetches until ctx ends.
func (l *fetchLoop) run(ctx context.Context) {
	tries := 0 // fetches in a row that failed
	for ctx.Err() == nil {
		if !l.rest(ctx) {
			return
		}
		if cause, changed := l.consumer.gate.Waiting(); cause != "" {
			select { // what would be fetched could only wait
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		l.look(time.Now())
		if len(l.wanted) == 0 {
			select {
			case <-ctx.Done():
			case <-l.wake:
			}
			continue
		}
		err := l.fetch(ctx)
		if err == nil {
			if tries > 0 {
				l.failing.Add(-1)
			}
			tries = 0
		} else if ctx.Err() == nil {
			if tries++; tries == 1 {
				l.failing.Add(1)
			}
			l.recover(ctx, err, tries)
		}
	}
}

// rest waits until fetchInterval is over since the last fetch was sent, if that is kept. It returns false if ctx ended
// first.
func (l *fetchLoop) rest(ctx context.Context) bool {
	left := fetchInterval - time.Since(l.asked)
	return !l.rests || left <= 0 || wait.Sleep(ctx, left)
}

// came decides whether the next fetch keeps the interval. The records of an answer have come since the one before it.
func (l *fetchLoop) came(records int, now time.Time) {
	l.rests = records > 0 && now.Sub(l.heard) <= time.Duration(records)*time.Second/restAbove
	l.heard = now
}

// look has the session ask for the leader's partitions that have room.
func (l *fetchLoop) look(now time.Time) {
	l.mu.Lock()
	parts, all := append(append(l.looking[:0], l.touched...), l.again...), l.all
	l.touched, l.again, l.all = l.touched[:0], l.again[:0], false
	l.mu.Unlock()
	if all { // looked up when the order is taken: what comes later has another poke
		clear(l.full)
		for _, p := range l.wanted {
			parts = append(parts, p) // some are not held any more
		}
		parts = append(parts, l.consumer.held()...)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range parts {
		l.consider(p, now)
	}
	l.looking = parts
}

// consider requires mu.
func (l *fetchLoop) consider(p *partition, now time.Time) {
	leader, known := l.leaders[p.id]
	if !known || leader != l.leader || p.leaving() || p.revoked.Load() {
		if l.wanted[p.id] == p { // else the session asks for another grant of it, or not at all
			l.drop(p.id)
		}
		return
	}
	at, room := p.wanted()
	switch {
	case !room:
		l.drop(p.id)
		l.full[p.id] = struct{}{}
	case p.resting(now):
		l.drop(p.id)
		l.again = append(l.again, p)
	default:
		delete(l.full, p.id)
		l.wanted[p.id] = p
		l.session.Want(p.id, at)
	}
}

func (l *fetchLoop) drop(id int32) {
	delete(l.wanted, id)
	delete(l.full, id)
	l.session.Drop(id)
}

func (l *fetchLoop) fetch(ctx context.Context) error {
	limits := kafkawire.FetchLimits{MaxWait: longPoll, MaxBytes: maxFetchBytes,
		PartitionMaxBytes: l.consumer.cfg.FetchBytes, Step: decodeStep}
	if len(l.full) > 0 {
		limits.MaxWait = shortPoll
	}
	l.asked = time.Now()
	fetched, err := l.session.Fetch(ctx, limits)
	if err != nil {
		return err
	}
	records := 0
	for i := range fetched {
		records += len(fetched[i].Records)
		l.again = append(l.again, l.wanted[fetched[i].Partition])
	}
	l.came(records, time.Now())
	return l.accept(ctx, fetched)
}

// accept hands out what was fetched and returns the first error of a partition.
func (l *fetchLoop) accept(ctx context.Context, fetched []kafkawire.Fetched) error {
	var first error
	for i := range fetched {
		r := &fetched[i]
		p, from := l.wanted[r.Partition], r.From
		if r.Diverged != nil {
			first = errors.Join(first, l.consumer.diverged(p, from.Offset, *r.Diverged))
			continue
		}
		if errors.Is(r.Err, kafka.OffsetOutOfRange) {
			r.Err = l.outOfRange(ctx, p, from)
		}
		if c := asCorrupt(r.Err); c != nil {
			p.accept(r, from.Offset) // the good records before it
			p.corrupt(r.Next, c)
			continue
		}
		if r.Err != nil && len(r.Records) == 0 {
			if first == nil { // what one lacks, all of them lack as a rule
				first = fmt.Errorf("partition %d: %w", r.Partition, r.Err)
			}
			continue
		}
		p.accept(r, from.Offset) // with the good records before an error, if there is one
	}
	return first
}

// recover waits a little and looks for leaders afresh.
func (l *fetchLoop) recover(ctx context.Context, err error, tries int) {
	failure := l.consumer.log.WithLevel(levelOf(err, tries)).Str("event", "fetch_failing")
	if fix := kafkawire.Fix(err); fix != "" {
		failure.Str("fix", fix)
	}
	failure.Err(err).Str("topic", l.consumer.cfg.Topic).Int32("broker", l.leader).Int("tries", tries).
		Msg("fetching failed; trying again")
	l.wire.Reset()
	if !wait.Sleep(ctx, fetchBackoff+rand.N(fetchBackoff)) {
		return
	}
	if err := l.refresh(ctx); err != nil && ctx.Err() == nil {
		l.consumer.log.Debug().Err(err).Msg("looking for partition leaders failed")
	}
}
