package request

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

// publishing is one run of the command.
type publishing struct {
	*command.Call
	o        *options
	pub      *publisher
	tracker  *tracker // nil without --wait
	printer  *answers.Printer
	progress *term.Progress
	start    time.Time
}

// publishAll is what the command does once its flags are good.
func publishAll(ctx context.Context, c *command.Call, o *options) error {
	in, err := openInput(o, c.In)
	if err != nil {
		return err
	}
	topics := c.Config.Topics
	names := []string{topics.Requests}
	if o.wait {
		names = append(names, topics.Results, topics.DeadLetters)
	}
	settings, described, err := c.ReachTopics(ctx, names...)
	if err != nil {
		return errors.Join(err, in.close())
	}
	r := newRun(c, o, in, described[0].MaxMessageBytes())
	wire := kafkawire.NewClient(settings, topics.Requests)
	defer wire.Close()
	r.pub.producer, err = producer.New(ctx, producer.Config{
		Topics: []string{topics.Requests}, BufferBytes: int(c.Config.Producer.BufferBytes),
	}, wire, c.Log.Hook(r.progress), writeFailures{})
	if ctx.Err() != nil {
		err = command.ErrInterrupted
	}
	if err != nil {
		return errors.Join(err, in.close())
	}
	return r.run(ctx, settings)
}

func newRun(c *command.Call, o *options, in *input, maxBytes int) *publishing {
	r := &publishing{
		Call: c, o: o, start: time.Now(), progress: term.NewProgress(c.Err, in.size),
		pub: &publisher{in: in, topic: c.Config.Topics.Requests, maxBytes: maxBytes, skipping: o.skipInvalid},
	}
	if o.rate > 0 {
		// A burst of 10 ms: finer steps than that are lost in the timers.
		r.pub.pace = rate.NewLimiter(rate.Limit(o.rate), max(1, int(o.rate/100)))
	}
	if o.wait {
		r.tracker = newTracker(maxUnanswered, o.timeout)
		r.pub.tracker = r.tracker
		r.printer = &answers.Printer{Out: c.Out, JSON: o.output == term.JSON, Clear: r.progress.Clear}
	}
	return r
}

// writeFailures is told of writes that are repeated; the producer has logged them.
type writeFailures struct{}

// WriteFailed implements producer.Observer.
func (writeFailures) WriteFailed(string, int32, error) {}

// run publishes everything and, with --wait, shows the answers. It stops, in this order: publishing, flushing, waiting
// for answers, following. The watch runs over all of it, as flushing and waiting end through it too.
func (r *publishing) run(outer context.Context, settings kafkawire.Settings) error {
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
			if err := r.follow(ctx, settings, func() { close(ready) }); err != nil {
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
	timer := time.NewTimer(command.ReachTimeout)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return fmt.Errorf("the topics of the answers could not be read within %s; try: balanceq topics check",
			command.ReachTimeout)
	}
}

func (r *publishing) follow(ctx context.Context, settings kafkawire.Settings, ready func()) error {
	topics := r.Config.Topics
	f := answers.Follower{
		Settings: settings, Topics: []string{topics.Results, topics.DeadLetters}, From: kafkawire.Latest, Ready: ready,
	}
	var failed error
	err := f.Follow(ctx, func(rec *schemas.Record) bool {
		a, err := answers.Read(rec, topics)
		if err != nil || (a.Result != nil && a.Result.Outcome == schemas.OutcomeFailed) {
			return true // not an answer, or one about a request whose dead letter says more
		}
		w := r.tracker.take(a.RequestID)
		if w == nil {
			return true
		}
		failed = r.printer.Show(a, fmt.Sprintf("%7s", term.Latency(time.Since(w.sent))), "")
		r.tracker.complete(a)
		return failed == nil
	})
	return errors.Join(err, failed)
}

// watch draws the progress, gives up requests whose answer does not come, and everything when Kafka takes nothing.
func (r *publishing) watch(ctx context.Context, stop context.CancelCauseFunc) {
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
			if now.Sub(moved) > publishTimeout {
				stop(fmt.Errorf("no acknowledgement from Kafka for %s: %w", publishTimeout, r.failing()))
				return
			}
			if r.tracker != nil {
				r.tracker.expire(now)
			}
			r.progress.Draw(r.pub.in.read.Load(), r.progressText(acked))
		}
	}
}

func (r *publishing) failing() error {
	if err := r.pub.producer.Status().Failing; err != nil {
		return err
	}
	return errors.New("a partition has no leader; try: balanceq topics check")
}

func (r *publishing) progressText(acked int64) string {
	text := fmt.Sprintf("%d published, %.0f/s", acked, float64(acked)/time.Since(r.start).Seconds())
	if r.tracker != nil {
		text += fmt.Sprintf(", %d answered", r.tracker.counts().answers())
	}
	return text
}
