package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/kafkawire"
)

// stall is something that stands still while all else could go on.
type stall struct {
	name   string
	flags  []string                              // of the program, with the stall and without
	hit    func(b *bench, contract string) bool  // whose requests stand still; the others are measured
	silent bool                                  // no requests of those that are hit are sent, with the stall or without
	hot    int                                   // one request in so many is for the first contract; 0: as in all modes
	begin  func(b *bench, broker *kfake.Cluster) // broker is nil where it is not an embedded one
	faults bool                                  // begin needs the broker
}

const (
	stalledPartition = 0
	stallBrokers     = 3
	stallGrace       = 3 * time.Second // for what is still to come when the last request was sent
)

var stalls = []stall{
	{name: "contract that hangs", hit: theFirst, begin: hang},
	{name: "hot contract that hangs", hit: theFirst, hot: 50, begin: hang},
	{name: "requests without a leader", hit: ofPartition, silent: true, faults: true,
		begin: func(b *bench, broker *kfake.Cluster) {
			leaderless(broker, b.topic("requests"), kmsg.Fetch, kmsg.ListOffsets)
		}},
	{name: "results without a leader", hit: ofPartition, faults: true,
		begin: func(b *bench, broker *kfake.Cluster) { leaderless(broker, b.topic("results"), kmsg.Produce) }},
	{name: "dead letters that wait", hit: unknown, flags: []string{"--deadletters.budget=0.001"}, begin: forget},
	{name: "dead letter that is refused", hit: theFirst, faults: true, begin: refuseLetter},
}

func theFirst(_ *bench, contract string) bool { return contract == strconv.Itoa(firstContract) }

func ofPartition(b *bench, contract string) bool {
	ids := make([]int, b.parts)
	for i := range ids {
		ids[i] = i
	}
	return kafkawire.KeyPartition([]byte(contract), ids...) == stalledPartition
}

// unknown says whether a contract is one of the two in a hundred that the CMS forgets.
func unknown(_ *bench, contract string) bool {
	n, err := strconv.Atoi(contract)
	return err == nil && (n-firstContract)%50 == 0
}

func hang(b *bench, _ *kfake.Cluster) {
	b.sim.AddFault(cmssim.Fault{
		Match: cmssim.Match{Contracts: []int64{firstContract}}, Effect: cmssim.EffectHang})
}

func forget(b *bench, _ *kfake.Cluster) {
	fault := notFound()
	for i := 0; i < b.contracts; i++ {
		if unknown(b, strconv.Itoa(firstContract+i)) {
			fault.Match.Contracts = append(fault.Match.Contracts, int64(firstContract+i))
		}
	}
	b.sim.AddFault(fault)
}

func notFound() cmssim.Fault {
	return cmssim.Fault{Effect: cmssim.EffectStatus, Status: 404, Source: "CMS", ReasonCode: "CONTRACT_DOES_NOT_EXIST",
		Description: "the contract does not exist"}
}

func refuseLetter(b *bench, broker *kfake.Cluster) {
	fault := notFound()
	fault.Match.Contracts = []int64{firstContract}
	b.sim.AddFault(fault)
	broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.topic("deadletters"), Count: -1,
		Err: kerr.TopicAuthorizationFailed})
}

// leaderless has a partition's leader be away: metadata names none, and a client that asks a broker for it is sent
// away.
func leaderless(broker *kfake.Cluster, topic string, keys ...kmsg.Key) {
	of := []int32{stalledPartition}
	broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Partitions: of, Count: -1,
		Err: kerr.LeaderNotAvailable},
		kfake.Fault{Keys: keys, Topic: topic, Partitions: of, Count: -1, Err: kerr.NotLeaderForPartition})
}

// stalls measures the same paced load without and with each stall, by turns.
func (o options) stalls(ctx context.Context, w io.Writer) error {
	var broker *kfake.Cluster
	var addrs string
	var end func()
	var err error
	if o.brokers == "" && o.kafka == "" {
		if broker, err = kfake.NewCluster(kfake.NumBrokers(stallBrokers)); err != nil {
			return fmt.Errorf("starting the embedded broker: %w", err)
		}
		addrs, end = broker.ListenAddrs()[0], broker.Close
	} else if addrs, end, err = o.cluster(ctx); err != nil {
		return err
	}
	defer end()
	o.brokers = addrs
	var table [][]string
	for _, s := range stalls {
		if s.faults && broker == nil || o.stall != "" && s.name != o.stall {
			continue
		}
		taken, err := o.compareStall(ctx, w, s, broker)
		if err != nil {
			return err
		}
		table = append(table, taken.row(s.name))
	}
	return printStalls(w, table)
}

// compareStall measures without the stall and with it, by turns.
func (o options) compareStall(ctx context.Context, w io.Writer, s stall, broker *kfake.Cluster) (rounds, error) {
	var taken rounds
	for range o.rounds {
		var pair [2]figures
		for i, with := range []bool{false, true} {
			if _, err := fmt.Fprintf(w, "%-26s %-7s ", s.name,
				map[bool]string{true: "with", false: "without"}[with]); err != nil {
				return nil, err
			}
			var err error
			pair[i], err = o.with(ctx, modeStalls, func(ctx context.Context, b *bench) (figures, error) {
				return b.stalled(ctx, w, s, with, broker)
			})
			if err != nil {
				return nil, err
			}
		}
		taken = append(taken, pair)
	}
	return taken, nil
}

// row is a stall's line of the table: the medians, without and with.
func (r rounds) row(name string) []string {
	row := []string{name}
	for i := range r[0][0] {
		for side := range 2 {
			var values []float64
			for _, pair := range r {
				values = append(values, pair[side][i].value)
			}
			row = append(row, digits(median(values)))
		}
	}
	return row
}

func printStalls(w io.Writer, table [][]string) error {
	_, err := fmt.Fprint(w, "\n| stall | rate of the others | with it | p50, ms | with it | p99, ms | with it |\n"+
		"|---|---|---|---|---|---|---|\n")
	for _, row := range table {
		if err == nil {
			_, err = fmt.Fprintf(w, "| %s | %s/s | %s/s | %s | %s | %s | %s |\n",
				row[0], row[1], row[2], row[3], row[4], row[5], row[6])
		}
	}
	return err
}

// stalled paces requests and measures those that the stall does not concern, from when each was due. What has no answer
// when the time is up counts by how long it has waited.
func (b *bench) stalled(ctx context.Context, w io.Writer, s stall, with bool, broker *kfake.Cluster) (figures, error) {
	program, err := b.start(s.flags...)
	if err != nil {
		return nil, err
	}
	go b.send(ctx, b.rate, 0, warmUp, b.request)
	if err := b.collect(ctx, newAnswers(), warmUp, timeout); err != nil {
		return nil, err
	}
	if with {
		s.begin(b, broker)
	}
	total := warmUp + int(b.duration.Seconds()*float64(b.rate))
	o := others{waiting: make(map[int]time.Time, total)}
	plan := b.plan(s, total)
	began := time.Now()
	for i := warmUp; i < total; i++ {
		if !s.hit(b, plan[i]) {
			o.waiting[i] = began.Add(time.Duration(i-warmUp) * time.Second / time.Duration(b.rate))
		}
	}
	sent := make(chan time.Time, 1)
	go func() {
		b.send(ctx, b.rate, warmUp, total, func(i int, due time.Time) *kgo.Record { return b.requestFor(plan[i], i, due) })
		sent <- time.Now()
	}()
	if err := o.collect(ctx, b, sent); err != nil {
		return nil, err
	}
	program.kill() // what stands still would hold up a drain
	for _, due := range o.waiting {
		o.took = append(o.took, time.Since(due))
	}
	slices.Sort(o.took)
	at := func(q float64) float64 { return float64(o.took[int(q*float64(len(o.took)-1))].Microseconds()) / 1000 }
	rate := float64(o.inTime) / o.until.Sub(began).Seconds()
	_, err = fmt.Fprintf(w, "%.0f/s  p50 %.2f ms  p99 %.2f  max %.2f  without an answer in the end %d of %d\n",
		rate, at(.5), at(.99), at(1), len(o.waiting), len(o.took))
	return figures{{"requests/s", rate}, {"p50, ms", at(.5)}, {"p99, ms", at(.99)}}, err
}

// plan says which contract each request is for.
func (b *bench) plan(s stall, n int) []string {
	var from []string
	for i := range b.contracts {
		if contract := strconv.Itoa(firstContract + i); !s.silent || !s.hit(b, contract) {
			from = append(from, contract)
		}
	}
	plan := make([]string, n)
	for i := range plan {
		plan[i] = from[i%len(from)]
		if s.hot > 0 && i%s.hot == 0 {
			plan[i] = from[0]
		}
	}
	return plan
}

// others are the requests that a stall does not concern.
type others struct {
	waiting map[int]time.Time // by number: those without an answer, and when they were due
	took    []time.Duration
	inTime  int       // answers until the last request was sent
	until   time.Time // when that was
}

// collect reads until all have their answers, or for stallGrace after the last was sent.
func (o *others) collect(ctx context.Context, b *bench, sent <-chan time.Time) error {
	var over <-chan time.Time
	for {
		poll, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		got, _, err := b.poll(poll)
		cancel()
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		now := time.Now()
		for _, g := range got {
			if _, waits := o.waiting[g.number]; waits {
				delete(o.waiting, g.number)
				o.took = append(o.took, now.Sub(g.due))
				if over == nil {
					o.inTime++
				}
			}
		}
		select {
		case o.until = <-sent:
			over = time.After(stallGrace)
		case <-over:
			return nil
		default:
		}
		if over != nil && len(o.waiting) == 0 {
			return nil
		}
	}
}
