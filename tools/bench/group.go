package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/wait"
)

const (
	censusEvery = 200 * time.Millisecond
	calm        = 3 * time.Second  // without a change: an event is over
	warming     = 10 * time.Second // the same at the start: a JVM that is still compiling makes pauses of its own
	fresh       = time.Second      // age of the requests that are being answered where nothing is wrong
	// brokers keep the place of a silent static member for 45 s by default (consumer protocol)
	stableLimit = 3 * time.Minute
	drainLimit  = 30 * time.Second
	returnAfter = time.Second // of a killed instance
	idle        = 5 * time.Second
)

// group is a consumer group under steady traffic.
type group struct {
	*bench
	spread   [][]string // contracts of each partition
	pauses   *pauses
	slots    map[int]*instance
	launched int
}

// event is something in the life of a group. Slots are numbered from 1.
type event struct {
	name      string
	concerned []int                           // slots whose instance starts, stops or dies
	after     []int                           // slots that have an instance in the end
	act       func(ctx context.Context) error // returns when no more will be done
}

// events are what is measured, in turn.
func (g *group) events() []event {
	three, four := []int{1, 2, 3}, []int{1, 2, 3, 4}
	return []event{
		{"none", nil, three, func(ctx context.Context) error { wait.Sleep(ctx, idle); return nil }},
		{"a fourth instance joins", []int{4}, four, func(context.Context) error { return g.launch(4) }},
		{"the fourth stops (SIGTERM)", []int{4}, three, func(context.Context) error { return g.slots[4].stop() }},
		{"kill -9, started again after 1 s", []int{2}, three, func(ctx context.Context) error {
			g.slots[2].kill()
			wait.Sleep(ctx, returnAfter)
			return g.launch(2)
		}},
		{"kill -9, for good", []int{3}, []int{1, 2}, func(context.Context) error { g.slots[3].kill(); return nil }},
		{"a third instance joins again", []int{3}, three, func(context.Context) error { return g.launch(3) }},
		{"rolling restart of all three (SIGTERM)", three, three, g.roll},
	}
}

// roll restarts one after the other, each as soon as the one before is at work.
func (g *group) roll(ctx context.Context) error {
	for slot := 1; slot <= 3; slot++ {
		if err := g.slots[slot].stop(); err != nil {
			return err
		}
		if err := g.launch(slot); err != nil {
			return err
		}
		if _, err := g.awaitStable(ctx, []int{1, 2, 3}, 0); err != nil {
			return err
		}
	}
	return nil
}

// live takes a group through its life and prints a row of a Markdown table for each event.
func (b *bench) live(ctx context.Context, w io.Writer) error {
	g := &group{bench: b, spread: spread(b.contracts, b.parts), pauses: newPauses(b.parts, time.Now()),
		slots: map[int]*instance{}}
	if slices.ContainsFunc(g.spread, func(contracts []string) bool { return len(contracts) == 0 }) {
		return fmt.Errorf("--contracts %d: some of the %d partitions have none; give more", b.contracts, b.parts)
	}
	traffic, end := context.WithCancel(ctx)
	reading, enough := context.WithCancel(ctx)
	var sending, watching sync.WaitGroup
	defer watching.Wait()
	defer sending.Wait()
	defer enough()
	defer end()
	watching.Go(func() { g.watch(reading) })
	sent := 0
	sending.Go(func() { sent = b.send(traffic, b.rate, 0, int(^uint(0)>>1), g.request) })
	for slot := 1; slot <= 3; slot++ {
		if err := g.launch(slot); err != nil {
			return err
		}
	}
	now, err := g.awaitStable(ctx, []int{1, 2, 3}, warming)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "group  %d partitions, %d requests/s, %s, %s members (%s), flags %v\n\n"+
		"| event | partitions moved | gap of moved | gap of others | repeated |\n|---|---|---|---|---|\n",
		b.parts, b.rate, b.delivery, b.instances, now.protocol, b.flags)
	if err != nil {
		return err
	}
	for _, e := range g.events() {
		if now, err = g.measure(ctx, e, now, w); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	end()
	sending.Wait()
	if err := b.client.Flush(ctx); err != nil {
		return fmt.Errorf("publishing requests: %w", err)
	}
	if err := g.drained(ctx, sent); err != nil {
		return err
	}
	distinct, repeated, disorder := g.pauses.total()
	_, err = fmt.Fprintf(w, "\n%d requests, lost %d, repeated %d, out of order %d\n", sent, sent-distinct, repeated,
		disorder)
	return err
}

// measure lets one event happen and prints its row. It returns what the group is like then.
func (g *group) measure(ctx context.Context, e event, before census, w io.Writer) (after census, err error) {
	g.pauses.mark()
	if err := e.act(ctx); err != nil {
		return after, err
	}
	if after, err = g.awaitStable(ctx, e.after, calm); err != nil {
		return after, err
	}
	longest, repeated := g.pauses.sinceMark(time.Now())
	_, err = fmt.Fprintln(w, row(e.name, longest, repeated, moved(before.owner, after.owner, names(e.concerned))))
	return after, err
}

// row is a row of the table: the longest pause of any partition of each kind.
func row(event string, longest []time.Duration, repeated int, moved map[int32]bool) string {
	gaps := map[bool]time.Duration{}
	for partition, gap := range longest {
		of := moved[int32(partition)]
		gaps[of] = max(gaps[of], gap)
	}
	seconds := func(of bool) string {
		if _, some := gaps[of]; !some {
			return "–"
		}
		return fmt.Sprintf("%.2f s", gaps[of].Seconds())
	}
	return fmt.Sprintf("| %s | %d of %d | %s | %s | %d |", event, len(moved), len(longest), seconds(true), seconds(false),
		repeated)
}

// awaitStable waits until the instances in these slots, and no other members, share all partitions, all of which answer
// what was asked after now, and until nothing has changed for a while. It returns what the group is like then.
func (g *group) awaitStable(ctx context.Context, slots []int, quiet time.Duration) (last census, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stableLimit, fmt.Errorf("%v have gone by", stableLimit))
	defer cancel()
	began := time.Now()
	same := began
	missing := ""
	for {
		c, err := takeCensus(ctx, g.client, g.group())
		if err != nil && wait.Ended(ctx) != nil && missing != "" { // it was cut off: the look before says more
			<-ctx.Done()
			return last, notStable(ctx, missing)
		}
		now := time.Now()
		missing = c.unsettled(names(slots), g.parts)
		if err != nil {
			missing = err.Error()
		}
		since := began
		if recent := now.Add(-fresh); recent.After(began) {
			since = recent
		}
		if behind := g.pauses.behind(since); missing == "" && behind > 0 {
			missing = fmt.Sprintf("%d partitions answer nothing new", behind)
		}
		switch {
		case missing != "" || !maps.Equal(c.owner, last.owner):
			same = now
		case now.Sub(same) >= quiet:
			return c, nil
		}
		last = c
		if !wait.Sleep(ctx, censusEvery) {
			return last, notStable(ctx, missing)
		}
	}
}

func notStable(ctx context.Context, missing string) error {
	return fmt.Errorf("%w; the group was not stable: %s", context.Cause(ctx), cmp.Or(missing, "it changed just now"))
}

// launch starts an instance in a slot. Static members keep their names as the pods of a stateful set do; dynamic ones
// get a new one with each start, as those of a deployment do.
func (g *group) launch(slot int) (err error) {
	g.launched++
	flags := []string{"--kafka.client-id=" + name(slot)}
	if g.instances == static {
		flags = append(flags, "--kafka.instance-id="+name(slot), "--instance="+name(slot))
	} else {
		flags = append(flags, "--instance="+name(slot)+"-start-"+strconv.Itoa(g.launched))
	}
	g.slots[slot], err = g.start(flags...)
	return err
}

func name(slot int) string { return "bench-" + strconv.Itoa(slot) }

func names(slots []int) []string {
	var all []string
	for _, slot := range slots {
		all = append(all, name(slot))
	}
	return all
}

// watch reads results as they come.
func (g *group) watch(ctx context.Context) {
	for ctx.Err() == nil {
		got, dead, err := g.poll(ctx)
		g.pauses.add(got, time.Now())
		if err == nil && dead > 0 {
			err = fmt.Errorf("%d requests became dead letters; this simulator refuses none, so look into --logs", dead)
		}
		if err != nil {
			g.fail(err)
			return
		}
	}
}

// drained waits for the last answers. What is missing then is for the report.
func (g *group) drained(ctx context.Context, sent int) error {
	for deadline := time.Now().Add(drainLimit); time.Now().Before(deadline); {
		if distinct, _, _ := g.pauses.total(); distinct >= sent {
			break
		}
		if !wait.Sleep(ctx, censusEvery) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// request makes the i-th request, for partition i modulo their number: each gets the same traffic at even distances.
func (g *group) request(i int, due time.Time) *kgo.Record {
	contracts := g.spread[i%g.parts]
	return g.requestFor(contracts[i/g.parts%len(contracts)], i, due)
}

// spread divides contracts by the partition that the client library gives to their requests.
func spread(contracts, parts int) [][]string {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("")
	spread := make([][]string, parts)
	for i := range contracts {
		contract := strconv.Itoa(firstContract + i)
		partition := partitioner.Partition(&kgo.Record{Key: []byte(contract)}, parts)
		spread[partition] = append(spread[partition], contract)
	}
	return spread
}
