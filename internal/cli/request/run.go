package request

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/time/rate"
)

// requestRun is one run of request.
type requestRun struct {
	o        *requestOptions
	topics   config.Topics
	err      io.Writer
	pub      *publisher
	tracker  *tracker // nil without --wait
	printer  *answers.Printer
	progress *term.Progress
	start    time.Time
}

func run(p *command.Env, cmd *cobra.Command, loaded *config.Loaded, o *requestOptions) error {
	cfg := loaded.Config
	log, err := p.Logger(loaded)
	if err != nil {
		return err
	}
	in, err := openInput(o, cmd.InOrStdin())
	if err != nil {
		return err
	}
	names := []string{cfg.Topics.Requests}
	if o.wait {
		names = append(names, cfg.Topics.Results, cfg.Topics.DeadLetters)
	}
	settings, topics, err := command.ReachTopics(cmd.Context(), cfg, names...)
	if err != nil {
		return errors.Join(err, in.close())
	}
	r := &requestRun{
		o: o, topics: cfg.Topics, err: p.Err, start: time.Now(), progress: term.NewProgress(p.Err, in.size),
		pub: &publisher{in: in, topic: cfg.Topics.Requests, maxBytes: topics[0].MaxMessageBytes(), skipping: o.skipInvalid},
	}
	if o.rate > 0 {
		// A burst of 10 ms: finer steps than that are lost in the timers.
		r.pub.pace = rate.NewLimiter(rate.Limit(o.rate), max(1, int(o.rate/100)))
	}
	if o.wait {
		r.tracker = newTracker(maxUnanswered, o.timeout)
		r.pub.tracker = r.tracker
		r.printer = &answers.Printer{Out: p.Out, JSON: o.output == term.JSON, Clear: r.progress.Clear}
	}
	wire := kafkawire.NewClient(settings, cfg.Topics.Requests)
	defer wire.Close()
	r.pub.producer, err = producer.New(cmd.Context(), producer.Config{
		Topics: []string{cfg.Topics.Requests}, BufferBytes: int(cfg.Producer.BufferBytes),
	}, wire, log.Hook(r.progress), writeFailures{})
	if cmd.Context().Err() != nil {
		err = command.ErrInterrupted
	}
	if err != nil {
		return errors.Join(err, in.close())
	}
	return r.Run(cmd.Context(), settings)
}

// writeFailures hears of writes that are repeated; the producer has logged them.
type writeFailures struct{}

// WriteFailed implements producer.Observer.
func (writeFailures) WriteFailed(string, int32, error) {}

// Run publishes everything and, with --wait, shows the answers. It stops, in this order: publishing, flushing, waiting for
// answers, following. The watch runs over all of it, as flushing and waiting end through it too.
func (r *requestRun) Run(outer context.Context, settings kafkawire.Settings) error {
	ctx, stop := context.WithCancelCause(outer)
	defer stop(nil)
	watched := make(chan struct{})
	go func() { defer close(watched); r.watch(ctx, stop) }()
	following := make(chan struct{})
	var err error
	if r.tracker == nil {
		close(following)
	} else {
		ready := make(chan struct{})
		go func() {
			defer close(following)
			if err := r.Follow(ctx, settings, func() { close(ready) }); err != nil {
				stop(err)
			}
		}()
		err = awaitStart(ctx, ready)
	}
	if err == nil {
		err = r.pub.publish(ctx)
	} else {
		_ = r.pub.in.close() // it was only opened
	}
	r.pub.flush(ctx)
	took := time.Since(r.start)
	if r.tracker != nil && ctx.Err() == nil {
		if waitErr := r.tracker.Wait(ctx); err == nil {
			err = waitErr
		}
	}
	if cause := context.Cause(ctx); err == nil {
		err = cause
	}
	stop(nil)
	<-watched
	<-following
	r.progress.End()
	return r.report(took, err)
}

// awaitStart waits until the answers' topics are followed: only then will an answer be seen.
func awaitStart(ctx context.Context, ready <-chan struct{}) error {
	timer := time.NewTimer(command.ReachPatience)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return fmt.Errorf("the topics of the answers could not be read within %s; try: balanceq topics check", command.ReachPatience)
	}
}

func (r *requestRun) Follow(ctx context.Context, settings kafkawire.Settings, ready func()) error {
	f := answers.Follower{Settings: settings, Topics: []string{r.topics.Results, r.topics.DeadLetters}, From: kafkawire.Latest, Ready: ready}
	var failed error
	err := f.Follow(ctx, func(rec *schemas.Record) bool {
		a, err := answers.Read(rec, r.topics)
		if err != nil || (a.Result != nil && a.Result.Outcome == schemas.OutcomeFailed) {
			return true // nothing of ours, or something about a request whose dead letter says more
		}
		w := r.tracker.take(a.RequestID)
		if w == nil {
			return true
		}
		failed = r.printer.Show(a, fmt.Sprintf("%7s", term.Latency(time.Since(w.sent))), "")
		r.tracker.settle(a)
		return failed == nil
	})
	return errors.Join(err, failed)
}

// watch draws the progress, gives up requests whose answer does not come, and everything when Kafka takes nothing.
func (r *requestRun) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	acked, moved := int64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			before := acked
			acked = r.pub.acked.Load()
			if acked != before || acked == r.pub.sent.Load() {
				moved = now
			}
			if now.Sub(moved) > publishPatience {
				stop(fmt.Errorf("no acknowledgement from Kafka for %s: %w", publishPatience, r.failing()))
				return
			}
			if r.tracker != nil {
				r.tracker.expire(now)
			}
			r.progress.Draw(r.pub.in.read.Load(), r.progressText(acked))
		}
	}
}

func (r *requestRun) failing() error {
	if err := r.pub.producer.Status().Failing; err != nil {
		return err
	}
	return errors.New("a partition has no leader; try: balanceq topics check")
}

func (r *requestRun) progressText(acked int64) string {
	text := fmt.Sprintf("%d published, %.0f/s", acked, float64(acked)/time.Since(r.start).Seconds())
	if r.tracker != nil {
		text += fmt.Sprintf(", %d answered", r.tracker.counts().answers())
	}
	return text
}

var _ zerolog.Hook = (*term.Progress)(nil)
