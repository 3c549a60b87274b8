package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/wait"
)

const (
	outcomeParts = 12               // most partitions of the topics that are written: what is measured is the reading
	untilSteady  = 5 * time.Second  // after the group is stable, until a measurement begins
	rested       = 20 * time.Second // heartbeats are frequent until 15 s after a rebalance
	backlog      = 5 * time.Second  // of work that is left when it ends
)

// partsOf is how many partitions a topic gets.
func (b *bench) partsOf(topic string) int {
	if topic == b.topic("requests") {
		return b.parts
	}
	return min(b.parts, max(outcomeParts, b.parts/100))
}

// rest measures what an instance costs that holds --partitions of which only --busy have traffic.
func (b *bench) rest(ctx context.Context, w io.Writer) (figures, error) {
	if err := b.awaitCoordinator(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	program, err := b.start("--kafka.client-id=" + name(1))
	if err != nil {
		return nil, err
	}
	if err := b.awaitOwners(ctx, 1); err != nil {
		return nil, err
	}
	joined := time.Since(began)
	traffic, end := context.WithCancel(ctx)
	defer end()
	sent := make(chan int, 1)
	go func() { sent <- b.trickle(traffic) }()
	wait.Sleep(ctx, rested)
	before, err := activityOf(program.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	wait.Sleep(ctx, b.duration)
	after, err := activityOf(program.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	end()
	a := newAnswers()
	if n := <-sent; n > 0 {
		if err := b.collect(ctx, a, n, timeout); err != nil {
			return nil, err
		}
	}
	if err := program.stop(); err != nil {
		return nil, err
	}
	per := func(of int64) float64 { return float64(of) / b.duration.Seconds() }
	share := (after.cpu - before.cpu).Seconds() / b.duration.Seconds() * 100
	_, err = fmt.Fprintf(w,
		"idle   partitions=%d busy=%d rate=%d/s over %v  cpu %.2f %% of a core  RSS %d MB (peak %v)  files %d  threads %d  "+
			"a second: writes %.1f, sent %.0f B, received %.0f B, wake-ups %.0f  joined after %.1fs  answered %d  %v\n",
		b.parts, b.busy, b.rate, b.duration, share, after.rss>>20, after.usage, after.files, after.threads,
		per(after.writes-before.writes), per(after.sent-before.sent), per(after.received-before.received),
		per(after.switches-before.switches), joined.Seconds(), a.distinct, a)
	return figures{{"CPU, % of a core", share}, {"RSS, MB", float64(after.rss >> 20)}}, err
}

// trickle sends --rate requests a second to --busy partitions and returns how many it has sent when ctx ends.
func (b *bench) trickle(ctx context.Context) int {
	var contracts []string
	for _, of := range spread(b.contracts, b.parts) {
		if len(of) > 0 && len(contracts) < b.busy {
			contracts = append(contracts, of[0])
		}
	}
	if len(contracts) == 0 {
		return 0
	}
	return b.send(ctx, b.rate, 0, int(^uint(0)>>1), func(i int, due time.Time) *kgo.Record {
		return b.requestFor(contracts[i%len(contracts)], i, due)
	})
}

// awaitCoordinator waits until the brokers have made the topic in which groups are kept: with many partitions in the
// making that takes longer than the program waits for Kafka at its start.
func (b *bench) awaitCoordinator(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stableLimit, fmt.Errorf("%v have gone by", stableLimit))
	defer cancel()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = b.group(), []string{b.group()} // before version 4, and since
	for {
		resp, err := req.RequestWith(ctx, b.client)
		if err == nil && resp.ErrorCode == 0 && (len(resp.Coordinators) == 0 || resp.Coordinators[0].ErrorCode == 0) {
			return nil
		}
		if !wait.Sleep(ctx, time.Second) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// awaitOwners waits until so many instances, and no other members, share all partitions.
func (b *bench) awaitOwners(ctx context.Context, instances int) error {
	var slots []int
	for slot := range instances {
		slots = append(slots, slot+1)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stableLimit, fmt.Errorf("%v have gone by", stableLimit))
	defer cancel()
	for {
		c, err := takeCensus(ctx, b.client, b.group())
		missing := c.unsettled(names(slots), b.parts)
		if err == nil && missing == "" {
			return nil
		}
		if !wait.Sleep(ctx, censusEvery) {
			return fmt.Errorf("%w; the group was not stable: %s", context.Cause(ctx), missing)
		}
	}
}

// scale measures what 1, 2 and 4 instances answer of a backlog that none of them comes to the end of. The CMS should be
// so slow, and --in-flight so small, that the machine is no limit.
func (b *bench) scale(ctx context.Context, w io.Writer) error {
	var one float64
	for _, instances := range []int{1, 2, 4} {
		of, err := newBench(ctx, b.options, b.cms, b.sim, b.fail)
		if err != nil {
			return err
		}
		took, err := of.share(ctx, instances)
		of.close()
		if err != nil {
			return fmt.Errorf("%d instances: %w", instances, err)
		}
		if instances == 1 {
			one = took.rate
		}
		ideal := float64(instances*b.inFlight) / b.latency.Seconds()
		if _, err := fmt.Fprintf(w, "scale  instances=%d latency=%v in-flight=%d each  %.0f/s = %.1f %% of the ideal "+
			"%.0f/s, %.1f %% of linear  cpu %.0f us/record  %v\n",
			instances, b.latency, b.inFlight, took.rate, 100*took.rate/ideal,
			ideal, 100*took.rate/(one*float64(instances)), took.cpu, took.answers); err != nil {
			return err
		}
	}
	return nil
}

// shared is what several instances have done together.
type shared struct {
	rate    float64 // calls a second
	cpu     float64 // us a record
	answers *answers
}

// share has instances answer a backlog together.
func (b *bench) share(ctx context.Context, instances int) (shared, error) {
	for slot := 1; slot <= instances; slot++ {
		if _, err := b.start("--kafka.client-id="+name(slot), "--instance="+name(slot)); err != nil {
			return shared{}, err
		}
	}
	if err := b.awaitOwners(ctx, instances); err != nil {
		return shared{}, err
	}
	b.n = int(float64(instances*b.inFlight) / b.latency.Seconds() * (untilSteady + b.duration + backlog).Seconds())
	g := &group{bench: b, spread: spread(b.contracts, b.parts)}
	if err := b.publish(ctx, g.request); err != nil {
		return shared{}, err
	}
	s := shared{answers: newAnswers()}
	rate := make(chan float64, 1)
	go func() {
		wait.Sleep(ctx, untilSteady)
		before, began := b.cms.Stats().Calls, time.Now()
		wait.Sleep(ctx, b.duration)
		rate <- float64(b.cms.Stats().Calls-before) / time.Since(began).Seconds()
	}()
	if err := b.collect(ctx, s.answers, b.n, timeout); err != nil {
		return shared{}, err
	}
	s.rate = <-rate
	for _, p := range b.running {
		u, err := usageOf(p.cmd.Process.Pid)
		if err != nil {
			return shared{}, err
		}
		s.cpu += float64(u.cpu.Microseconds()) / float64(b.n)
	}
	for _, p := range b.running {
		if err := p.stop(); err != nil {
			return shared{}, err
		}
	}
	return s, nil
}
