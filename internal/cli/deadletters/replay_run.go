package deadletters

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/telemetry/traces"
)

// replayRun is one run of deadletters replay.
type replayRun struct {
	*command.Call
	o        *replayOptions
	query    *scanQuery
	filter   string // the flags that chose the letters
	settings kafkawire.Settings
	rules    replay.Rules
	watch    *serviceWatch

	chosen   *deadletter.Positions // with --limit: the letters that were counted; nil: all
	id       string
	trace    *traces.Replay // nil: not traced
	replay   *replay.Run
	canary   *canary // nil: none, or over
	pace     *rate.Limiter
	bar      *term.Progress
	total    int64
	waitsFor string // what has been said of an error that is waited out
	chunk    []*replay.Candidate
	bytes    int // of the chunk
	done     int64
}

func (r *replayRun) run(ctx context.Context) error {
	topics := r.Config.Topics
	names := []string{topics.DeadLetters, topics.Replays, topics.Requests}
	if r.follows() {
		names = append(names, topics.Results)
	}
	settings, described, err := r.ReachTopics(ctx, names...)
	if err != nil {
		return err
	}
	r.settings = settings
	r.rules = replay.Rules{Requests: topics.Requests, MaxReplays: r.o.maxReplays, MaxBytes: described[2].MaxMessageBytes()}
	if err := r.query.checkPartition(described[0]); err != nil {
		return err
	}
	if err := r.fixEnds(ctx); err != nil {
		return err
	}
	r.warnRetention(ctx)
	if r.rules.Replayed, err = replayed(ctx, settings, topics); err != nil {
		return err
	}
	plan, err := r.plan(ctx)
	if err != nil {
		return err
	}
	r.total = plan.replay.Total.Count
	asJSON := r.o.output == term.JSON
	if !asJSON {
		if err := r.show(plan); err != nil {
			return err
		}
	}
	var failed error
	result := plan.json()
	if r.o.execute && r.total > 0 {
		failed = r.execute(ctx)
		result.Executed, result.Run, result.Replayed = r.id != "", r.id, &r.done
	}
	switch {
	case asJSON:
		return errors.Join(failed, r.printJSON(result))
	case !r.o.execute && r.total > 0:
		missing := "--execute"
		if r.filter == "" && r.o.limit == 0 && !r.o.all {
			missing = "--all --execute"
		}
		_, failed = fmt.Fprintf(r.Out, "nothing was replayed yet; the same command with %s does it\n", missing)
	}
	return failed
}

// follows says whether it waits for the results of the first ones.
func (r *replayRun) follows() bool { return r.o.canary == canaryOn && !r.o.edit }

// fixEnds makes sure that the same letters are counted and replayed: what comes meanwhile, such as those that fail
// again, is the next replay's.
func (r *replayRun) fixEnds(ctx context.Context) (err error) {
	client := kafkawire.NewClient(r.settings, r.Config.Topics.DeadLetters)
	defer client.Close()
	r.query.ends, err = deadletter.Ends(ctx, client, r.Config.Topics.DeadLetters)
	return command.Interrupted(ctx, err)
}

// warnRetention says so if the ledger forgets sooner than the dead letters expire: what it has forgotten is replayed
// again.
func (r *replayRun) warnRetention(ctx context.Context) {
	client := kafkawire.NewClient(r.settings)
	defer client.Close()
	const setting = "retention.ms"
	keeps := func(topic string) (int64, bool) {
		t, err := client.DescribeTopic(ctx, topic, setting)
		ms, failed := strconv.ParseInt(t.Configs[setting], 10, 64)
		if ms < 0 { // for ever
			ms = math.MaxInt64
		}
		return ms, err == nil && failed == nil // the settings may not be readable for this user
	}
	ledger, known := keeps(r.Config.Topics.Replays)
	letters, alsoKnown := keeps(r.Config.Topics.DeadLetters)
	if known && alsoKnown && ledger < letters {
		r.Warn("topic %s forgets replays after %v, before their dead letters expire in %s: those would be replayed again; "+
			"set its %s to -1",
			r.Config.Topics.Replays, time.Duration(ledger)*time.Millisecond, r.Config.Topics.DeadLetters, setting)
	}
}

// execute replays what the plan has counted.
func (r *replayRun) execute(ctx context.Context) (failed error) {
	if err := r.watch.begin(ctx); err != nil {
		return err
	}
	topics := r.Config.Topics
	wire := kafkawire.NewClient(r.settings, topics.DeadLetters, topics.Requests, topics.Replays)
	defer wire.Close()
	reading := kafkawire.NewClient(r.settings, topics.Replays)
	defer reading.Close()
	r.id = ledger.NewRunID(time.Now())
	endTrace, err := r.beginTrace(ctx)
	if err != nil {
		return err
	}
	defer func() { endTrace(failed) }()
	r.bar = term.NewProgress(r.Err, r.total)
	r.bar.Unit = "dead letters"
	defer r.bar.End()
	cfg := replay.Config{
		Letters: topics.DeadLetters, Requests: topics.Requests, Ledger: topics.Replays, Run: r.id, By: instances.Operator(),
		Filter:   r.filter,
		Retrying: r.retrying,
	}
	if r.trace != nil {
		cfg.Trace = r.trace.Send
	}
	r.replay, err = replay.Begin(ctx, cfg, wire, reading)
	if err != nil {
		return r.ended(ctx, err)
	}
	r.rules.Replayed = r.replay.Replayed
	if r.o.rate > 0 {
		r.pace = rate.NewLimiter(rate.Limit(r.o.rate), r.mostAtOnce())
	}
	if r.follows() {
		if r.canary, err = beginCanary(ctx, r); err != nil {
			return err
		}
		defer r.canary.End()
	}
	began := time.Now()
	if err := r.replayAll(ctx); err != nil {
		return r.ended(ctx, err)
	}
	r.bar.End()
	if r.done < r.total {
		r.Warn("%d fewer than were counted: another replay took them, or the topic's retention did", r.total-r.done)
	}
	r.Say("replayed %s; what became of them: balanceq deadletters history --run %s",
		term.Pace(r.done, "dead letter", time.Since(began)), r.id)
	return nil
}

// ended says how far it came.
func (r *replayRun) ended(ctx context.Context, err error) error {
	r.bar.End()
	soFar := fmt.Sprintf("%d of %d were replayed by this run (%s)", r.done, r.total, r.id)
	switch {
	case errors.Is(err, replay.ErrFenced):
		return fmt.Errorf("%w: %s; none is replayed twice: give the command again when the other one has ended", err, soFar)
	case errors.Is(err, command.ErrInterrupted):
		return fmt.Errorf("%w: %s; the same command goes on", command.ErrInterrupted, soFar)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %s; the same command goes on\n%w", command.ErrInterrupted, soFar, err)
	}
	return fmt.Errorf("%w\n%s; the same command goes on when that is fixed", err, soFar)
}

// retrying says what is waited for, once for each cause.
func (r *replayRun) retrying(err error) {
	if text := printable.Text(err.Error()); text != r.waitsFor {
		r.waitsFor = text
		r.bar.Clear()
		r.Say("waiting: %s", text)
	}
}

// mostAtOnce is how many may be replayed in one transaction: no more than the canary's next step, and about those of a
// fifth of a second where there is a rate.
func (r *replayRun) mostAtOnce() int {
	most := replay.MaxChunk
	if r.o.rate > 0 {
		most = min(most, max(1, int(r.o.rate/5)))
	}
	if r.canary != nil {
		most = min(most, r.canary.step())
	}
	return most
}

func (r *replayRun) replayAll(ctx context.Context) error {
	scan := newScan(r.Call, r.query)
	scan.draw = func(int64) { r.bar.Draw(r.done, "replaying") }
	scan.quiet = true // the count has told what is corrupt
	scan.gap = func(g deadletter.Gap) {
		if !g.Corrupt() {
			r.bar.Clear()
			warnGap(r.Call, r.Config.Topics.DeadLetters, g)
		}
	}
	err := scan.read(ctx, r.settings, func(l *deadletter.Letter) error {
		if r.rules.Obstacle(l) != "" || r.chosen != nil && !r.chosen.Has(l.Partition, l.Offset) {
			return nil
		}
		again := r.replay.Prepare(l)
		if r.o.edit {
			if err := r.edit(ctx, again); err != nil {
				return err
			}
		}
		if len(r.chunk) > 0 && r.bytes+again.Size() > replay.MaxChunkBytes {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		r.chunk = append(r.chunk, again)
		if r.bytes += again.Size(); len(r.chunk) < r.mostAtOnce() {
			return nil
		}
		return r.flush(ctx)
	})
	if err != nil {
		return err
	}
	return r.flush(ctx)
}

// flush replays the chunk.
func (r *replayRun) flush(ctx context.Context) error {
	if len(r.chunk) == 0 {
		return nil
	}
	if err := r.watch.await(ctx, r.bar); err != nil {
		return err
	}
	if r.pace != nil {
		if err := r.pace.WaitN(ctx, len(r.chunk)); err != nil {
			return command.ErrInterrupted
		}
	}
	if ctx.Err() != nil {
		return command.ErrInterrupted
	}
	placed, err := r.replay.Put(ctx, r.chunk)
	r.done += int64(len(placed))
	r.bar.Draw(r.done, "replaying")
	clear(r.chunk)
	r.chunk, r.bytes = r.chunk[:0], 0
	if err != nil || r.canary == nil {
		return err
	}
	if err := r.canary.await(ctx, placed); err != nil {
		return err
	}
	if r.canary.over() {
		r.canary.End()
		r.canary = nil
	}
	return nil
}
