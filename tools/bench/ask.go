package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// readLag is how much later than who asks the reader beside it may have the last result.
const readLag = 5 * time.Second

// ask has a process ask at a fixed rate by package client, and reads the results with a client library of another make
// beside it: how much later does who asks know the answer than who reads the topic?
func (b *bench) ask(ctx context.Context, w io.Writer) (figures, error) {
	program, err := b.start()
	if err != nil {
		return nil, err
	}
	if err := b.publishFrom(ctx, 0, 1); err != nil {
		return nil, err
	}
	if err := b.collect(ctx, newAnswers(), 1, timeout); err != nil { // it has joined its group
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	asking := exec.CommandContext(ctx, self, asksCommand, b.brokers, b.topic("requests"), b.topic("results"),
		strconv.Itoa(b.rate), strconv.Itoa(b.asked()), strconv.Itoa(b.contracts), b.asking)
	asking.Stderr = os.Stderr
	shares, err := b.startShares(program)
	if err != nil {
		return nil, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	read := make(chan map[string]time.Time, 1)
	go func() { read <- b.arrivals(reading, b.asked()) }()
	out, err := asking.Output()
	if err != nil {
		return nil, fmt.Errorf("the process that asks: %w", err)
	}
	defer time.AfterFunc(readLag, stop).Stop()
	came := <-read
	var got asks
	if err := json.Unmarshal(out, &got); err != nil {
		return nil, fmt.Errorf("reading what the process that asks says: %w", err)
	}
	cores, err := shares.since(got.CPU)
	if err != nil {
		return nil, err
	}
	if err := b.end(program); err != nil {
		return nil, err
	}
	return b.reportAsks(w, got, came, cores)
}

// shares tells who has used how many cores since it was made.
type shares struct {
	watch
	program *instance
	before  time.Duration // that the program had used
}

func (b *bench) startShares(program *instance) (s shares, err error) {
	u, err := usageOf(program.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	w, err := startWatch()
	return shares{w, program, u.cpu}, err
}

func (s shares) since(client time.Duration) (string, error) {
	u, err := usageOf(s.program.cmd.Process.Pid)
	if err != nil {
		return "", err
	}
	service, own, took := u.cpu-s.before, ownCPU()-s.own, time.Since(s.began).Seconds()
	others, err := s.noise(client + service)
	return fmt.Sprintf("cores: client %.2f, service %.2f, CMS and reader %.2f, broker and all else %.2f",
		client.Seconds()/took, service.Seconds()/took, own.Seconds()/took, others), err
}

// asked is how many requests there are.
func (b *bench) asked() int { return int(b.duration.Seconds() * float64(b.rate)) }

// arrivals reads results until n are there or ctx ends, and returns when each request's could be read first.
func (b *bench) arrivals(ctx context.Context, n int) map[string]time.Time {
	came := map[string]time.Time{}
	for len(came) < n && ctx.Err() == nil {
		fetches := b.client.PollRecords(ctx, 10_000)
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			id := text(r.Value, `"requestId":"`)
			if _, known := came[id]; !known {
				came[id] = now
			}
		})
	}
	return came
}

func (b *bench) reportAsks(w io.Writer, got asks, came map[string]time.Time, cores string) (figures, error) {
	var topic, client, later []time.Duration
	for _, a := range got.Answered {
		at, known := came[a.ID.String()]
		if !known {
			return nil, fmt.Errorf("request %s was answered, but its result was not read", a.ID)
		}
		due := time.Unix(0, a.Due)
		topic, client = append(topic, at.Sub(due)), append(client, a.Took)
		later = append(later, due.Add(a.Took).Sub(at))
	}
	if len(topic) == 0 {
		return nil, errors.New("no request was answered")
	}
	at := func(of []time.Duration, q float64) float64 {
		slices.Sort(of)
		return milliseconds(of[int(q*float64(len(of)-1))])
	}
	_, err := fmt.Fprintf(w,
		"ask    %d/s latency=%v  %d answered and counted, %d wrong, %d unknown, %d at a time at most  "+
			"client p50 %.1f ms p99 %.1f  reader of the topic p50 %.1f p99 %.1f  "+
			"client after reader p50 %.2f p99 %.2f  peak RSS %.0f MB  cpu %.0f us/request  %s  %d tries failed %s\n",
		b.rate, b.latency, len(got.Answered), got.Wrong, got.Unknown, got.Most, at(client, .5), at(client, .99),
		at(topic, .5), at(topic, .99), at(later, .5), at(later, .99), float64(got.PeakRSS)/(1<<20),
		float64(got.CPU.Microseconds())/float64(got.Asked), cores, got.Failing, got.Failure)
	return figures{{"client p99, ms", at(client, .99)}, {"reader p99, ms", at(topic, .99)}}, err
}
