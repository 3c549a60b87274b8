package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// demo is one performance.
type demo struct {
	stage   *stage
	traffic *traffic
	board   *board
	act     atomic.Int32 // index in story
}

// view shows what happens until ctx ends.
type view interface {
	show(ctx context.Context, take func(now time.Time) snapshot)
}

// errBooks says that the summary found something; it has printed what.
var errBooks = errors.New("the books do not balance")

// perform runs the demo from the first start to the last stop.
func perform(ctx context.Context, out io.Writer, v view, keep bool) (err error) {
	_, _ = fmt.Fprintln(out, "Starting an embedded broker, a simulated CMS and balanceq …")
	s, err := openStage(ctx)
	defer func() {
		failed := err != nil && ctx.Err() == nil
		if failed && s.dir != "" {
			_, _ = fmt.Fprintf(out, "The service's log is in %s\n", filepath.Join(s.dir, logName))
		}
		err = errors.Join(err, s.close(failed))
	}()
	if err != nil {
		return err
	}
	b := newBoard()
	t, err := newTraffic(ctx, s.settings, s.cfg.Topics.Requests, b, s.log)
	if err != nil {
		return err
	}
	d := &demo{stage: s, traffic: t, board: b}
	report, err := d.run(ctx, v, keep)
	if err != nil {
		return err
	}
	printSummary(out, report)
	if keep {
		if err := d.linger(ctx, out); err != nil {
			return err
		}
	}
	if !report.balances() {
		return errBooks
	}
	return nil
}

// run plays the story before the view and checks the books. The service is stopped before that, unless it is to be kept:
// what it might still write in its last moments has to be in the books.
func (d *demo) run(ctx context.Context, v view, keep bool) (*report, error) {
	running, end := context.WithCancel(ctx)
	var crew sync.WaitGroup
	defer crew.Wait()
	defer end()
	topics := d.stage.cfg.Topics
	for topic, read := range map[string]func(*schemas.Record) (answer, error){
		topics.Results: readResult, topics.DeadLetters: readDeadLetter,
	} {
		crew.Go(func() {
			if err := follow(running, d.stage.settings, topic, read, d.board); err != nil {
				d.stage.log.Error().Str("event", "demo_view_failed").Err(err).Msg("the view no longer follows")
			}
		})
	}
	crew.Go(func() { d.traffic.run(running) })
	c := newCamera(d, time.Now())
	crew.Go(func() { v.show(running, c.take) })

	err := d.play(ctx)
	published, closing := d.traffic.close()
	if err = errors.Join(err, closing); err != nil {
		return nil, err
	}
	d.begin(actCheck)
	if !keep {
		if err := d.stage.stop(); err != nil {
			return nil, err
		}
	}
	return d.check(ctx, published)
}

// checkBudget bounds the reading of the topics.
const checkBudget = 20 * time.Second

// check compares what the topics hold once everything is answered.
func (d *demo) check(ctx context.Context, published int) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, checkBudget)
	defer cancel()
	b, err := readBooks(ctx, d.stage.settings, d.stage.cfg.Topics)
	if err != nil {
		return nil, err
	}
	b.published, b.open = published, d.stage.breaker.open(time.Now())
	return b.check(), nil
}

// linger says how to use what is running, and waits for Ctrl-C.
func (d *demo) linger(ctx context.Context, out io.Writer) error {
	d.stage.sim.Simulator().ClearFaults() // the failing contracts' too: who tries it out makes faults of their own
	printInvitation(out, d.stage)
	select {
	case <-ctx.Done():
		return nil
	case <-d.stage.stopped:
		return d.stage.endedEarly()
	}
}
