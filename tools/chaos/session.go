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

// session is what a run has on.
type session struct {
	options
	cluster   *cluster
	collector *collector
	sim       *simulator
	fleet     *fleet
	injector  *injector
}

// perform makes one run and reports it. It returns whether every promise was kept. What it started has ended when it
// returns.
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
	s := &session{options: o}
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
	v := evaluate(h, rules{
		exactlyOnce: o.mode == exactlyOnce, runAhead: max(o.runAhead, minWindow*int(s.collector.asked.Load())),
		worth: commitInterval + heartbeat, slack: breakerSlack, stale: staleAfter,
	})
	return len(v.findings) == 0, s.report(stdout, h, v)
}

// What the bound of repetitions and the margins rest on.
const (
	commitInterval = 100 * time.Millisecond // consumer.commit-interval, its default
	// The time a commit may take, and the time until a member learns that it is none any more: five heartbeats make a
	// session.
	heartbeat = sessionTimeout / 5
	// staleAfter is longer than a worker is stopped, a broker away and a breaker open, one after the other.
	staleAfter = 45 * time.Second
	// breakerSlack is how late, on a busy machine, a worker may tell of a change, or stamp what it has decided before.
	breakerSlack = 250 * time.Millisecond
	minWindow    = 16 // requests that may run ahead in each partition, however many there are
)

// set starts everything.
func (s *session) set(ctx context.Context, logs string, stderr io.Writer) (err error) {
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
	if s.collector, err = newCollector(s.cluster.direct, strconv.FormatInt(began.UnixMilli(), 36), s.parts); err != nil {
		return err
	}
	s.collector.replication = replicas
	if err := s.collector.createTopics(ctx); err != nil {
		return err
	}
	if s.sim, err = startSimulator(s.simulator); err != nil {
		return err
	}
	s.fleet = &fleet{binary: s.binary, dir: logs, static: staticMembers(s.seed, s.workers), named: s.mode == exactlyOnce,
		args: append([]string{
			"--kafka.brokers=" + s.cluster.workers, "--kafka.group=" + s.collector.group,
			"--kafka.group-protocol=" + s.protocol, "--kafka.start=" + s.start, "--kafka.session-timeout=" +
				sessionTimeout.String(),
			"--topics.requests=" + s.collector.topics.requests, "--topics.results=" + s.collector.topics.results,
			"--topics.deadletters=" + s.collector.topics.deadletters, "--cms.url=" + s.sim.url, "--delivery=" + s.mode,
			"--consumer.run-ahead=" + strconv.Itoa(s.runAhead), "--consumer.commit-interval=" + commitInterval.String(),
			"--http.listen=off", "--http.admin=off", "--log.format=json", "--log.level=debug",
		}, strings.Fields(s.extra)...)}
	for slot := range s.workers {
		if err := s.fleet.start(slot); err != nil {
			return err
		}
	}
	if s.start == startLatest { // requests of before the group's first start are not its to answer
		if err := s.collector.begun(ctx); err != nil {
			return err
		}
	}
	s.injector = &injector{fleet: s.fleet, workers: s.workers, contracts: s.contracts, cluster: s.cluster, sim: s.sim,
		collector: s.collector, say: say}
	return nil
}

// play publishes requests, injects faults, waits until all is answered, ends the workers, and tells what there is to
// see.
func (s *session) play(ctx context.Context, schedule [lanes][]step) (history, error) {
	watching, seen := context.WithCancel(ctx)
	defer seen()
	healing, healed := context.WithCancel(ctx)
	defer healed()
	var acting, looking, helping sync.WaitGroup
	var publishErr, faultErr, healErr error
	looking.Go(func() { s.collector.watch(watching) })
	helping.Go(func() { healErr = s.fleet.keepHealed(healing) })
	quiet := make(chan struct{})
	acting.Go(func() { publishErr = s.collector.publish(ctx, s.records, s.contracts, s.duration, quiet) })
	acting.Go(func() {
		defer close(quiet)
		faultErr = s.injector.follow(ctx, schedule)
	})
	acting.Wait()
	seen()
	looking.Wait()
	s.injector.say("published %d; waiting for the rest to be answered", len(s.collector.acks))
	drainErr := s.collector.drained(ctx, s.drain)
	healed()
	helping.Wait()
	if ctx.Err() != nil {
		return history{}, fmt.Errorf("stopped before anything could be checked: %w", context.Cause(ctx))
	}
	if err := errors.Join(publishErr, faultErr, healErr); err != nil {
		return history{}, err
	}
	if drainErr != nil {
		s.injector.say("not everything is answered: %v", drainErr)
	}
	s.injector.say("ending the workers")
	s.fleet.close()
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if _, err := s.collector.sample(reading); err != nil {
		return history{}, fmt.Errorf("taking the last sample: %w", err)
	}
	h, err := s.collector.collect(reading, len(s.cluster.nodes) > 0)
	if err != nil {
		return h, err
	}
	h.injected = s.injector.injected
	return h, s.fleet.addLogs(&h)
}

// close ends what was started, and puts the brokers' logs into a folder, unless that is empty.
func (s *session) close(logs string) {
	if s.fleet != nil {
		s.fleet.close()
	}
	if s.sim != nil {
		s.sim.close()
	}
	if s.collector != nil {
		s.collector.close()
	}
	if s.cluster != nil {
		s.cluster.close(logs)
	}
}
