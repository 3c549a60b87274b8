package main

import (
	"context"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"balanceq/cmssim"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// bench is one measurement: fresh topics, one simulator.
type bench struct {
	options
	sim    *cmssim.Server
	client *kgo.Client
	suffix string
	env    []string // of the program, besides ours

	keyFile string
}

func newBench(ctx context.Context, o options, sim *cmssim.Server) (*bench, error) {
	b := &bench{options: o, sim: sim, suffix: strconv.FormatUint(rand.Uint64(), 36)}
	var err error
	b.client, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(o.brokers, ",")...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1<<20),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.UnknownTopicRetries(20))
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range []string{b.topic("requests"), b.topic("results"), b.topic("deadletters")} {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(o.parts), 1
		req.Topics = append(req.Topics, t)
	}
	if _, err := req.RequestWith(ctx, b.client); err != nil {
		return nil, fmt.Errorf("creating topics: %w", err)
	}
	b.client.AddConsumeTopics(b.topic("results"), b.topic("deadletters"))
	if b.sign {
		return b, b.makeKey()
	}
	return b, nil
}

func (b *bench) close() {
	b.client.Close()
	if b.keyFile != "" {
		_ = os.Remove(b.keyFile) // nobody can use it for anything
	}
}

// makeKey lets the program sign with a key that nobody knows; the simulator does not look at signatures here.
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
	b.env = []string{"BALANCEQ_CMS_AUTH_CONSUMER_KEY=" + strings.Repeat("c", 48) + "!" + strings.Repeat("k", 48)}
	b.extra += " --cms.auth.method=oauth1 --cms.auth.key-file=" + b.keyFile
	return errors.Join(err, file.Close())
}

func (b *bench) topic(kind string) string { return "bench." + b.suffix + "." + kind }

// start runs the program under measurement.
func (b *bench) start() (*exec.Cmd, error) {
	args := append([]string{
		"run", "--kafka.brokers=" + b.brokers, "--kafka.group=bench." + b.suffix,
		"--topics.requests=" + b.topic("requests"), "--topics.results=" + b.topic("results"), "--topics.deadletters=" + b.topic("deadletters"),
		"--cms.url=" + b.sim.URL(), "--cms.max-in-flight=" + strconv.Itoa(b.inFlight), "--cms.coalesce=" + strconv.FormatBool(b.coalesce),
		"--http.listen=off", "--log.level=warn",
	}, strings.Fields(b.extra)...)
	cmd := exec.Command(b.binary, args...)
	cmd.Env = append(os.Environ(), b.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if b.keepLogs {
		cmd.Stderr = os.Stderr
	}
	return cmd, cmd.Start()
}

// request makes the i-th request.
func (b *bench) request(i int, at time.Time) *kgo.Record {
	contract := strconv.Itoa(100_000 + i%b.contracts)
	switch {
	case b.hot:
		// The hot ones are the first contracts.
		if n := max(1, b.contracts/100); rand.IntN(10) > 0 {
			contract = strconv.Itoa(100_000 + rand.IntN(n))
		} else {
			contract = strconv.Itoa(100_000 + n + rand.IntN(b.contracts-n))
		}
	case b.random:
		contract = strconv.Itoa(100_000 + int(rand.Uint64N(uint64(b.contracts))))
	}
	value := fmt.Sprintf(`{"contractId":"%s","balanceCodes":["AVAILABLE","BLOCKED"],"requestId":"%d-%d"}`, contract, i, at.UnixNano())
	return &kgo.Record{Topic: b.topic("requests"), Key: []byte(contract), Value: []byte(value)}
}

// preload publishes n requests.
func (b *bench) preload(ctx context.Context) error {
	var failed error
	for i := range b.n {
		b.client.Produce(ctx, b.request(i, time.Now()), func(_ *kgo.Record, err error) {
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

// answers keeps the books of what came out.
type answers struct {
	first, last time.Time
	seen        []int32
	distinct    int
	repeated    int
	dead        int
	disorder    int
	newest      map[string]int
	latencies   []time.Duration
}

func newAnswers(n int) *answers { return &answers{seen: make([]int32, n), newest: map[string]int{}} }

// result is what the books need of a result.
type result struct {
	RequestID  string `json:"requestId"`
	ContractID string `json:"contractId"`
}

func (a *answers) add(r *kgo.Record, now time.Time, deadLetters string) error {
	if r.Topic == deadLetters {
		a.dead++
		return nil
	}
	var res result
	if err := json.Unmarshal(r.Value, &res); err != nil {
		return fmt.Errorf("reading a result: %w", err)
	}
	number, sent, _ := strings.Cut(res.RequestID, "-")
	i, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("reading a result's request id: %w", err)
	}
	nanos, err := strconv.ParseInt(sent, 10, 64)
	if err != nil {
		return fmt.Errorf("reading a result's request id: %w", err)
	}
	if a.first.IsZero() {
		a.first = now
	}
	a.last = now
	a.seen[i]++
	if a.seen[i] > 1 {
		a.repeated++
		return nil
	}
	a.distinct++
	if newest, ok := a.newest[res.ContractID]; ok && i < newest {
		a.disorder++
	}
	a.newest[res.ContractID] = max(a.newest[res.ContractID], i)
	a.latencies = append(a.latencies, now.Sub(time.Unix(0, nanos)))
	return nil
}

// collect reads until n distinct answers are there, or until nothing new has come for a while.
func (b *bench) collect(ctx context.Context, a *answers, n int, patience time.Duration) error {
	for a.distinct+a.dead < n {
		poll, cancel := context.WithTimeout(ctx, patience)
		fetches := b.client.PollRecords(poll, 10_000)
		cancel()
		now := time.Now()
		if err := ctx.Err(); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			return fmt.Errorf("no answer for %v: %d of %d", patience, a.distinct+a.dead, n)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			if err := a.add(r, now, b.topic("deadletters")); err != nil {
				failed = err
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// usage is what the program under measurement has used, from the kernel's books.
type usage struct {
	cpu     time.Duration
	peakRSS int64 // bytes
}

func (u usage) String() string { return fmt.Sprintf("%d MB", u.peakRSS>>20) }

func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)   // utime, in ticks of 10 ms
	system, _ := strconv.ParseInt(fields[12], 10, 64) // stime
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	u := usage{cpu: time.Duration(user+system) * 10 * time.Millisecond}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			u.peakRSS, _ = strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			u.peakRSS <<= 10
		}
	}
	return u, nil
}
