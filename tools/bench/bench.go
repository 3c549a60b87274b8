package main

import (
	"context"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/wait"
)

const (
	topicsTimeout = time.Minute      // for making topics
	tidyTimeout   = 10 * time.Second // for deleting them in the end
	firstContract = 100_000
)

// errQuiet: what has not come by then is lost.
var errQuiet = errors.New("no answer")

// bench is one measurement: fresh topics, a CMS of its own.
type bench struct {
	options
	cms     cms
	sim     *cmssim.Simulator // behind it, where faults are needed
	client  *kgo.Client
	suffix  string
	env     []string         // of the program, besides this process's
	spans   *httptest.Server // takes them, nil: nothing is traced
	fail    func(error)      // ends the measurement
	keyFile string
	// gather is how long answers pile up between two looks at them: many at a time cost the broker and this process less
	// of what the program could use.
	gather time.Duration

	mu      sync.Mutex
	running []*instance // or ended
}

func newBench(ctx context.Context, o options, cms cms, sim *cmssim.Simulator, fail func(error)) (*bench, error) {
	b := &bench{options: o, cms: cms, sim: sim, suffix: strconv.FormatUint(rand.Uint64(), 36), fail: fail}
	var err error
	b.client, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1<<20),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.UnknownTopicRetries(20), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, err
	}
	if err := b.createTopics(ctx); err != nil {
		b.client.Close()
		return nil, fmt.Errorf("creating topics: %w", err)
	}
	b.client.AddConsumeTopics(b.topic("results"), b.topic("deadletters"))
	b.refuse()
	if b.receiver {
		b.receiveTraces()
	}
	if b.sign {
		return b, b.makeKey()
	}
	return b, nil
}

// refuse has the simulator refuse one contract in so many, as a gateway does that has no route for it.
func (b *bench) refuse() {
	if b.refused == 0 {
		return
	}
	fault := cmssim.Fault{Effect: cmssim.EffectStatus, Status: 404, Body: "<html><body>no route</body></html>"}
	for i := 0; i < b.contracts; i += b.refused {
		fault.Match.Contracts = append(fault.Match.Contracts, int64(firstContract+i))
	}
	b.sim.AddFault(fault)
}

// createTopics returns when every partition has a leader: a broker says that topics are made before it knows them
// itself.
func (b *bench) createTopics(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, topicsTimeout, errors.New("they have no leaders yet"))
	defer cancel()
	create, ask := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewPtrMetadataRequest()
	for _, name := range b.topics() {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(b.partsOf(name)), 1
		create.Topics = append(create.Topics, t)
		m := kmsg.NewMetadataRequestTopic()
		m.Topic = kmsg.StringPtr(name)
		ask.Topics = append(ask.Topics, m)
	}
	created, err := create.RequestWith(ctx, b.client)
	if err != nil {
		return err
	}
	for _, t := range created.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("%s: %w", t.Topic, err)
		}
	}
	for {
		known, err := ask.RequestWith(ctx, b.client)
		if err == nil && led(known) {
			return nil
		}
		if !wait.Sleep(ctx, 50*time.Millisecond) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func led(known *kmsg.MetadataResponse) bool {
	for _, t := range known.Topics {
		if t.ErrorCode != 0 {
			return false
		}
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return false
			}
		}
	}
	return true
}

// close ends and removes what is left, the topics too: rounds must not fill a broker's disk.
func (b *bench) close() {
	b.mu.Lock()
	for _, p := range b.running {
		p.kill()
	}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), tidyTimeout)
	defer cancel()
	req := kmsg.NewPtrDeleteTopicsRequest()
	for _, name := range b.topics() {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.TopicNames, req.Topics = append(req.TopicNames, name), append(req.Topics, t) // before version 6, and since
	}
	if _, err := req.RequestWith(ctx, b.client); err != nil {
		fmt.Fprintf(os.Stderr, "bench: topics %s are left behind: %v\n", strings.Join(b.topics(), ", "), err)
	}
	b.client.Close()
	if b.spans != nil {
		b.spans.Close()
	}
	if b.keyFile != "" {
		_ = os.Remove(b.keyFile) // it is of no use to others
	}
}

// makeKey lets the program sign with a key of its own; the simulator does not look at signatures here.
func (b *bench) makeKey() error {
	key, err := rsa.GenerateKey(crand.Reader, 2048)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "bench-*.pem")
	if err != nil {
		return err
	}
	b.keyFile = file.Name()
	err = pem.Encode(file, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	b.env = append(b.env, "BALANCEQ_CMS_AUTH_CONSUMER_KEY="+strings.Repeat("c", 48)+"!"+strings.Repeat("k", 48))
	b.flags = append(slices.Clone(b.flags), "--cms.auth.method=oauth1", "--cms.auth.key-file="+b.keyFile)
	return errors.Join(err, file.Close())
}

func (b *bench) group() string { return "bench." + b.suffix }

func (b *bench) topic(kind string) string { return b.group() + "." + kind }

func (b *bench) topics() []string {
	return []string{b.topic("requests"), b.topic("results"), b.topic("deadletters"), b.topic("replays")}
}

// request makes the i-th request.
func (b *bench) request(i int, at time.Time) *kgo.Record {
	contract := strconv.Itoa(firstContract + i%b.contracts)
	switch {
	case b.hot:
		// The hot ones are the first contracts.
		if n := max(1, b.contracts/100); rand.IntN(10) > 0 {
			contract = strconv.Itoa(firstContract + rand.IntN(n))
		} else {
			contract = strconv.Itoa(firstContract + n + rand.IntN(b.contracts-n))
		}
	case b.random:
		contract = strconv.Itoa(firstContract + int(rand.Uint64N(uint64(b.contracts))))
	}
	return b.requestFor(contract, i, at)
}

// requestFor makes the i-th request, for a certain contract.
func (b *bench) requestFor(contract string, i int, at time.Time) *kgo.Record {
	value := fmt.Sprintf(`{"contractId":"%s","balanceCodes":["AVAILABLE","BLOCKED"],"requestId":"%d-%d"}`,
		contract, i, at.UnixNano())
	return &kgo.Record{Topic: b.topic("requests"), Key: []byte(contract), Value: []byte(value), Headers: b.trace(i)}
}

// preload publishes n requests.
func (b *bench) preload(ctx context.Context) error { return b.publish(ctx, b.request) }

func (b *bench) publish(ctx context.Context, request func(i int, at time.Time) *kgo.Record) error {
	var failed error
	for i := range b.n {
		b.client.Produce(ctx, request(i, time.Now()), func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	if err := b.client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// collect reads until n distinct answers are there, or until nothing new has come for a while.
func (b *bench) collect(ctx context.Context, a *answers, n int, timeout time.Duration) error {
	for a.distinct+a.dead < n {
		poll, cancel := context.WithTimeout(ctx, timeout)
		got, dead, err := b.poll(poll)
		cancel()
		now := time.Now()
		a.dead += dead
		for _, g := range got {
			a.add(g, now)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case len(got)+dead == 0:
			return fmt.Errorf("%w for %v: %d of %d", errQuiet, timeout, a.distinct+a.dead, n)
		}
		if b.gather > 0 && a.distinct+a.dead < n {
			wait.Sleep(ctx, b.gather)
		}
	}
	return nil
}

// poll waits for results and dead letters. At the end of ctx it returns without any.
func (b *bench) poll(ctx context.Context) (got []answer, dead int, err error) {
	fetches := b.client.PollRecords(ctx, 10_000)
	if failed := fetches.Err(); failed != nil && ctx.Err() == nil {
		return nil, 0, fmt.Errorf("reading results: %w", failed)
	}
	fetches.EachRecord(func(r *kgo.Record) {
		if r.Topic == b.topic("deadletters") {
			dead++
			return
		}
		g, failed := readAnswer(r.Value)
		if failed != nil {
			err = failed
			return
		}
		got = append(got, g)
	})
	return got, dead, err
}
