package deadletters

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// canarySteps are how many are replayed before the next ones: a mistake costs one request.
var canarySteps = []int{1, 10}

// canary follows what becomes of the first requests that are replayed.
type canary struct {
	run      *replayRun
	left     []int // steps
	open     int   // requests that the present step still has to replay
	stop     context.CancelFunc
	finished chan struct{}
	failed   error // of the follower; set before finished is closed
	news     wait.Signal

	mu sync.Mutex
	// requests with a result, whichever run put them back: one may come before this run knows its positions
	answered deadletter.Positions
	dead     deadletter.Positions
	last     map[schemas.Position]string // why, of the dead ones
}

// maxCanaryTexts bounds what is remembered of dead letters that may not be of the canary.
const maxCanaryTexts = 1000

// beginCanary returns once everything written from now on will be seen.
func beginCanary(ctx context.Context, r *replayRun) (*canary, error) {
	ctx, stop := context.WithCancel(ctx)
	c := &canary{run: r, left: canarySteps, open: canarySteps[0], stop: stop, finished: make(chan struct{}),
		news: wait.NewSignal(), last: map[schemas.Position]string{}}
	ready := make(chan struct{})
	topics := r.Config.Topics
	f := answers.Follower{Settings: r.settings, Topics: []string{topics.Results, topics.DeadLetters},
		From: kafkawire.Latest, Ready: func() { close(ready) }}
	go func() {
		defer close(c.finished)
		c.failed = f.Follow(ctx, c.see)
	}()
	select {
	case <-ready:
		return c, nil
	case <-c.finished:
		stop()
		if c.failed == nil {
			return nil, command.ErrInterrupted
		}
		return nil, fmt.Errorf("canary: %w", c.failed)
	}
}

// see notes the request that a result or dead letter is about.
func (c *canary) see(rec *schemas.Record) bool {
	topics := c.run.Config.Topics
	c.mu.Lock()
	defer c.mu.Unlock()
	if rec.Topic == topics.DeadLetters {
		if info := schemas.ReadDeadLetter(rec); info.HasSource && info.Source.Topic == topics.Requests {
			c.dead.Add(info.Source.Partition, info.Source.Offset)
			if len(c.last) < maxCanaryTexts {
				c.last[info.Source] = ": " + answers.DeadLetterText(&info)
			}
		}
	} else if result, err := schemas.DecodeResult(rec.Value); err == nil && result.Source.Topic == topics.Requests &&
		result.Outcome != schemas.OutcomeFailed {
		c.answered.Add(result.Source.Partition, result.Source.Offset)
	}
	c.news.Set()
	return true
}

// step is how many may be replayed at once now.
func (c *canary) step() int { return c.open }

// over says that there is no further step.
func (c *canary) over() bool { return len(c.left) == 0 }

func (c *canary) End() {
	c.stop()
	<-c.finished
}

// await waits until all of these have their results. The time it takes does not count while the service waits itself.
func (c *canary) await(ctx context.Context, placed []*replay.Candidate) error {
	waiting := time.NewTicker(time.Second)
	defer waiting.Stop()
	deadline := time.Now().Add(c.run.o.canaryTimeout)
	for {
		open, err := c.check(placed)
		if err != nil {
			return err
		}
		if open == nil {
			break
		}
		select {
		case <-c.news:
		case <-c.finished:
			if ctx.Err() != nil {
				return command.ErrInterrupted
			}
			return fmt.Errorf("canary: %w", c.failed)
		case <-waiting.C:
			if c.run.watch.waits(ctx, c.run.bar) {
				deadline = time.Now().Add(c.run.o.canaryTimeout)
			} else if time.Now().After(deadline) {
				return fmt.Errorf("canary: %s, replayed as %s, has no result after %v; is balanceq running (balanceq doctor), "+
					"and is it behind? --canary-timeout waits longer",
					open.Letter.Position, open.Request, c.run.o.canaryTimeout)
			}
		}
	}
	if c.open -= len(placed); c.open <= 0 {
		if c.left = c.left[1:]; len(c.left) > 0 {
			c.open = c.left[0]
		}
	}
	return nil
}

// check returns one that has no result yet; nil: all have. It fails if one is a dead letter again.
func (c *canary) check(placed []*replay.Candidate) (open *replay.Candidate, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range placed {
		at := a.Request
		switch {
		case c.dead.Has(at.Partition, at.Offset):
			return nil, fmt.Errorf("canary: %s, replayed as %s, is a dead letter again%s\nfix the cause first, or replay all "+
				"the same with --canary off",
				a.Letter.Position, at, c.last[at])
		case !c.answered.Has(at.Partition, at.Offset):
			open = a
		}
	}
	return open, nil
}
