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
)

// demo is one performance.
type demo struct {
	cluster  *cluster
	traffic  *traffic
	progress *progress
	act      atomic.Int32 // index in story
}

// view shows what happens until ctx ends.
type view interface {
	show(ctx context.Context, take func(now time.Time) snapshot)
}

// errLedger says that the summary found something; it has printed what.
var errLedger = errors.New("the ledger does not balance")

// perform runs the demo from the first start to the last stop.
func perform(ctx context.Context, out io.Writer, v view, keep bool) (err error) {
	_, _ = fmt.Fprintln(out, "Starting an embedded broker, a simulated CMS and balanceq …")
	s, err := openCluster(ctx)
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
	b := newProgress()
	t, err := newTraffic(ctx, s.kafka.ListenAddrs(), s.cfg.Topics, b)
	if err != nil {
		return err
	}
	d := &demo{cluster: s, traffic: t, progress: b}
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
		return errLedger
	}
	return nil
}

// run plays the story before the view and checks the ledger. The service is stopped before that, unless it is to be
// kept: what it might still write in its last moments has to be in the ledger.
func (d *demo) run(ctx context.Context, v view, keep bool) (*report, error) {
	running, end := context.WithCancel(ctx)
	var processes sync.WaitGroup
	defer processes.Wait()
	defer end()
	processes.Go(func() { d.traffic.run(running) })
	c := newRecorder(d, time.Now())
	processes.Go(func() { v.show(running, c.take) })

	err := d.play(ctx)
	published := d.traffic.close()
	if err != nil {
		return nil, err
	}
	d.begin(actCheck)
	if !keep {
		if err := d.cluster.stop(); err != nil {
			return nil, err
		}
	}
	return d.check(ctx, published)
}

// checkBudget bounds the reading of the topics.
const checkBudget = time.Minute

// check compares what the topics hold once everything is answered.
func (d *demo) check(ctx context.Context, published int) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, checkBudget)
	defer cancel()
	b, err := readLedger(ctx, d.cluster.settings, d.cluster.cfg.Topics)
	if err != nil {
		return nil, err
	}
	b.published, b.open = published, d.cluster.breaker.open(time.Now())
	return b.check(), nil
}

// linger says how to use what is running, and waits for Ctrl-C.
func (d *demo) linger(ctx context.Context, out io.Writer) error {
	d.cluster.sim.Simulator().ClearFaults() // the failing contracts' too: who tries it out makes faults of their own
	printInvitation(out, d.cluster)
	select {
	case <-ctx.Done():
		return nil
	case <-d.cluster.stopped:
		return d.cluster.endedEarly()
	}
}
