package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Run works until ctx ends or something fails that cannot be waited out, and stops in the order in which records flow:
// the consumer drains, commits and leaves; then the producer writes what is left; the HTTP servers and what is sent by
// OTLP are the last, so that the end can still be seen.
func (a *App) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var serving, watchers sync.WaitGroup
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	watchers.Go(func() { a.keys.Watch(watching, a.log) })
	watchers.Go(func() { a.watchdog.Run(watching) })
	watchers.Go(func() { a.scaler.Run(watching) })
	watchers.Go(func() { a.supervise(watching) })
	for _, server := range a.servers() {
		serving.Go(func() {
			if err := server.Serve(); err != nil {
				stop(err)
			}
		})
	}
	a.log.Info().Str("http", a.HTTPAddr()).Str("admin", a.AdminAddr()).Str("requests", a.cfg.Topics.Requests).
		Str("results", a.cfg.Topics.Results).
		Str("deadletters", a.cfg.Topics.DeadLetters).Str("group", a.cfg.Kafka.Group).Msg("starting")
	err := a.consume(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	stopWatching()
	waitFor(&watchers, flushTimeout)
	err = errors.Join(err, a.Close())
	serving.Wait()
	a.log.Info().Msg("stopped")
	return err
}

// waitFor waits for those that use what is about to be closed, but not for ever: the watchdog hangs where the pipeline
// deadlocks.
func waitFor(wg *sync.WaitGroup, atMost time.Duration) {
	done := make(chan struct{})
	go func() { defer close(done); wg.Wait() }()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// consume runs the consumer, and after the order to stop waits for it no longer than the shutdown budget: a broker that
// is gone must not keep the process from ending. What was not committed then is read again.
func (a *App) consume(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- a.consumer.Run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		a.log.Info().Int64("budget_ms", a.cfg.Shutdown.Timeout.Milliseconds()).Msg("stopping: finishing what was started")
	}
	budget := time.NewTimer(max(a.cfg.Shutdown.Timeout/2, a.cfg.Shutdown.Timeout-flushTimeout))
	defer budget.Stop()
	select {
	case err := <-done:
		return err
	case <-budget.C:
		return fmt.Errorf(
			"stopping: not drained and out of the group within shutdown.timeout (%v); what is unfinished will be read again",
			a.cfg.Shutdown.Timeout)
	}
}

// flushTimeout is what is kept of the shutdown budget for writes that the drain has left behind, and for the HTTP
// servers.
const flushTimeout = 2 * time.Second

// Close releases everything; it is safe after Run and after a failed New.
func (a *App) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	a.connecting.stop()
	var err error
	if a.writing != nil {
		err = a.writing.Close(ctx)
	}
	if a.cms != nil {
		a.cms.Close()
	}
	for _, w := range a.clients {
		w.Close()
	}
	for _, server := range a.servers() {
		err = errors.Join(err, server.Shutdown(ctx))
	}
	a.endExport(ctx)
	return err
}
