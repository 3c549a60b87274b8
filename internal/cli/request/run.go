package request

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

// publishing is one run of the command.
type publishing struct {
	*command.Call
	o        *options
	pub      *publisher
	asking   *asking // nil without --wait
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
	maxBytes := described[0].MaxMessageBytes()
	if err := checkFile(ctx, c, o, maxBytes); err != nil {
		return errors.Join(err, in.close())
	}
	r := newRun(c, o, in, maxBytes)
	if o.wait {
		return r.ask(ctx, settings)
	}
	return r.write(ctx, settings)
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
	return r
}

// ask publishes and shows the answers.
func (r *publishing) ask(ctx context.Context, settings kafkawire.Settings) error {
	asks, err := openClient(ctx, r.Call, settings, &heard{pub: r.pub, log: r.Log.Hook(r.progress)})
	if err != nil {
		return r.notStarted(ctx, err)
	}
	r.asking = newAsking(asks, maxUnanswered, r.o.timeout)
	r.pub.way = r.asking
	printer := &answers.Printer{Out: r.Out, JSON: r.o.output == term.JSON, Clear: r.progress.Clear}
	r.asking.show = func(a *answers.Answer, took time.Duration, id string) error {
		return printer.Show(a, fmt.Sprintf("%7s", term.Latency(took)), "request "+printable.Text(id))
	}
	return r.run(ctx)
}

// write publishes and waits for no answers.
func (r *publishing) write(ctx context.Context, settings kafkawire.Settings) error {
	wire := kafkawire.NewClient(settings, r.pub.topic)
	defer wire.Close()
	p, err := producer.New(ctx, producer.Config{
		Topics: []string{r.pub.topic}, BufferBytes: int(r.Config.Producer.BufferBytes),
	}, wire, r.Log.Hook(r.progress), &heard{pub: r.pub})
	if err != nil {
		return r.notStarted(ctx, err)
	}
	r.pub.way = writing{p, r.pub.topic, r.pub}
	return r.run(ctx)
}

func (r *publishing) notStarted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = command.ErrInterrupted
	}
	return errors.Join(err, r.pub.in.close())
}

// heard keeps why writing, or reading answers, last failed, for when it is given up.
type heard struct {
	pub *publisher
	log zerolog.Logger // of a client, which has none; a producer logs for itself
	n   atomic.Int64
}

// WriteFailed implements producer.Observer.
func (h *heard) WriteFailed(_ string, _ int32, err error) { h.pub.failing.Store(&err) }

// Wrote implements producer.Observer.
func (h *heard) Wrote(int) {}

// Failing implements client.Observer.
func (h *heard) Failing(err error) {
	h.pub.failing.Store(&err)
	n := h.n.Add(1)
	if !kafkawire.Report(int(n), err) {
		return
	}
	failure := h.log.Warn().Str("event", "asking_failing").Err(err).Int64("failures", n)
	if fix := kafkawire.Fix(err); fix != "" {
		failure = failure.Str("fix", fix)
	}
	failure.Msg("Kafka cannot be written to or read from; trying again")
}

// Sent implements client.Observer.
func (h *heard) Sent() { h.pub.Acknowledged() }

// Answered implements client.Observer.
func (h *heard) Answered(time.Duration, schemas.Reason) {}

// Unanswered implements client.Observer.
func (h *heard) Unanswered() {}

// run publishes everything and, with --wait, shows the answers. The watch runs over all of it: waiting ends through it
// too.
func (r *publishing) run(outer context.Context) error {
	ctx, stop := context.WithCancelCause(outer)
	defer stop(nil)
	if r.asking != nil {
		r.asking.stop = stop
	}
	watched := make(chan struct{})
	go func() { defer close(watched); r.watch(ctx, stop) }()
	err := r.pub.publish(ctx)
	took := time.Since(r.start)
	if r.asking != nil {
		r.asking.wait()
	}
	r.pub.flush(ctx)
	if r.asking == nil {
		took = time.Since(r.start) // the last acknowledgement
	}
	if cause := context.Cause(ctx); err == nil {
		err = cause
	}
	stop(nil)
	<-watched
	r.progress.End()
	return r.report(took, err)
}

// watch draws the progress, and gives everything up when Kafka takes nothing.
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
			if err := r.failing(); kafkawire.Forbidden(err) {
				stop(err) // nothing is gained by waiting
				return
			}
			if now.Sub(moved) > publishTimeout {
				stop(fmt.Errorf("no acknowledgement from Kafka for %s: %w", publishTimeout, r.failing()))
				return
			}
			r.progress.Draw(r.pub.in.read.Load(), r.progressText(acked))
		}
	}
}

func (r *publishing) failing() error {
	if err := r.pub.failing.Load(); err != nil {
		return *err
	}
	return errors.New("a partition has no leader; try: balanceq topics check")
}

func (r *publishing) progressText(acked int64) string {
	text := fmt.Sprintf("%d published, %.0f/s", acked, float64(acked)/time.Since(r.start).Seconds())
	if r.asking != nil {
		text += fmt.Sprintf(", %d answered", r.asking.counts().answers())
	}
	return text
}
