package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// readTimeout is for reading everything in the end.
const readTimeout = 2 * time.Minute

// stage is what a run has on.
type stage struct {
	options
	cluster *cluster
	witness *witness
	sim     *simulator
	fleet   *fleet
	trouble *trouble
}

// perform makes one run and reports it. It returns whether every promise was kept. What it started has ended when it returns.
func perform(ctx context.Context, o options, stdout, stderr io.Writer) (kept bool, err error) {
	schedule := plan(o.seed, o.faults, o.workers, o.nodes, o.duration)
	_, _ = fmt.Fprintf(stdout, "chaos: --seed %d, %d requests over %v or more, %d workers, %d brokers, %s\n",
		o.seed, o.records, o.duration, o.workers, o.nodes, o.mode)
	for _, steps := range schedule {
		for _, s := range steps {
			_, _ = fmt.Fprintln(stdout, s)
		}
	}
	logs, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return false, err
	}
	s := &stage{options: o}
	defer func() {
		if kept && !o.keepLogs {
			s.close("")
			err = errors.Join(err, os.RemoveAll(logs))
			return
		}
		s.close(logs)
		_, _ = fmt.Fprintln(stderr, "chaos: the logs of workers and brokers are in", logs)
	}()
	if err := s.set(ctx, logs, stderr); err != nil {
		return false, err
	}
	h, err := s.play(ctx, schedule)
	if err != nil {
		return false, err
	}
	v := judge(h, rules{
		exactlyOnce: o.mode == exactlyOnce, runAhead: max(o.runAhead, minWindow*int(s.witness.asked.Load())),
		worth: commitInterval + heartbeat, slack: breakerSlack, stale: staleAfter,
	})
	return len(v.findings) == 0, s.report(stdout, h, v)
}

// What the bound of repetitions and the margins rest on.
const (
	commitInterval = 100 * time.Millisecond // consumer.commit-interval, its default
	// The time a commit may take, and the time until a member learns that it is none any more: five heartbeats make a session.
	heartbeat = sessionTimeout / 5
	// staleAfter is longer than a worker is stopped, a broker away and a breaker open, one after the other.
	staleAfter   = 45 * time.Second
	breakerSlack = 100 * time.Millisecond
	minWindow    = 16 // requests that may run ahead in each partition, however many there are
)

// set starts everything.
func (s *stage) set(ctx context.Context, logs string, stderr io.Writer) (err error) {
	began := time.Now()
	var saying sync.Mutex
	say := func(format string, args ...any) {
		saying.Lock()
		defer saying.Unlock()
		_, _ = fmt.Fprintf(stderr, "%7.1fs  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
	}
	replicas := s.nodes
	if s.brokers != "" {
		s.cluster, replicas = &cluster{name: s.brokers, direct: s.brokers, workers: s.brokers}, s.replication
	} else if s.cluster, err = startCluster(ctx, s.image, s.nodes); err != nil {
		return err
	}
	say("Kafka is at %s", s.cluster.direct)
	if s.witness, err = newWitness(s.cluster.direct, strconv.FormatInt(began.UnixMilli(), 36), s.parts); err != nil {
		return err
	}
	s.witness.replication = replicas
	if err := s.witness.createTopics(ctx); err != nil {
		return err
	}
	if s.sim, err = startSimulator(s.simulator); err != nil {
		return err
	}
	s.fleet = &fleet{binary: s.binary, dir: logs, static: staticMembers(s.seed, s.workers), named: s.mode == exactlyOnce, args: append([]string{
		"--kafka.brokers=" + s.cluster.workers, "--kafka.group=" + s.witness.group,
		"--kafka.group-protocol=" + s.protocol, "--kafka.start=" + s.start, "--kafka.session-timeout=" + sessionTimeout.String(),
		"--topics.requests=" + s.witness.topics.requests, "--topics.results=" + s.witness.topics.results,
		"--topics.deadletters=" + s.witness.topics.deadletters, "--cms.url=" + s.sim.url, "--delivery=" + s.mode,
		"--consumer.run-ahead=" + strconv.Itoa(s.runAhead), "--consumer.commit-interval=" + commitInterval.String(),
		"--http.listen=off", "--log.format=json", "--log.level=info",
	}, strings.Fields(s.extra)...)}
	for slot := range s.workers {
		if err := s.fleet.start(slot); err != nil {
			return err
		}
	}
	if s.start == startLatest { // requests of before the group's first start are not its to answer
		if err := s.witness.begun(ctx); err != nil {
			return err
		}
	}
	s.trouble = &trouble{fleet: s.fleet, workers: s.workers, contracts: s.contracts, cluster: s.cluster, sim: s.sim, witness: s.witness, say: say}
	return nil
}

// play publishes requests, makes trouble, waits until all is answered, ends the workers, and tells what there is to see.
func (s *stage) play(ctx context.Context, schedule [lanes][]step) (history, error) {
	watching, seen := context.WithCancel(ctx)
	defer seen()
	healing, healed := context.WithCancel(ctx)
	defer healed()
	var acting, looking, helping sync.WaitGroup
	var publishErr, troubleErr, healErr error
	looking.Go(func() { s.witness.watch(watching) })
	helping.Go(func() { healErr = s.fleet.keepHealed(healing) })
	quiet := make(chan struct{})
	acting.Go(func() { publishErr = s.witness.publish(ctx, s.records, s.contracts, s.duration, quiet) })
	acting.Go(func() {
		defer close(quiet)
		troubleErr = s.trouble.follow(ctx, schedule)
	})
	acting.Wait()
	seen()
	looking.Wait()
	s.trouble.say("published %d; waiting for the rest to be answered", len(s.witness.acks))
	drainErr := s.witness.drained(ctx, s.drain)
	healed()
	helping.Wait()
	if ctx.Err() != nil {
		return history{}, fmt.Errorf("stopped before anything could be judged: %w", context.Cause(ctx))
	}
	if err := errors.Join(publishErr, troubleErr, healErr); err != nil {
		return history{}, err
	}
	if drainErr != nil {
		s.trouble.say("not everything is answered: %v", drainErr)
	}
	s.trouble.say("ending the workers")
	s.fleet.close()
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if _, err := s.witness.sample(reading); err != nil {
		return history{}, fmt.Errorf("taking the last sample: %w", err)
	}
	h, err := s.witness.testify(reading, len(s.cluster.nodes) > 0)
	if err != nil {
		return h, err
	}
	h.deeds = s.trouble.deeds
	return h, s.fleet.confess(&h)
}

// close ends what was started, and puts the brokers' logs into a folder, unless that is empty.
func (s *stage) close(logs string) {
	if s.fleet != nil {
		s.fleet.close()
	}
	if s.sim != nil {
		s.sim.close()
	}
	if s.witness != nil {
		s.witness.close()
	}
	if s.cluster != nil {
		s.cluster.close(logs)
	}
}
