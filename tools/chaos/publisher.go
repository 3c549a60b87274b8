package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/wait"
)

// publisher sends requests, and knows what became of each.
type publisher struct {
	// gate is held for reading while a request is sent, and for writing while Kafka loses some: a request is acknowledged
	// before a loss or sent behind it, so that it is known which log it was in.
	gate   sync.RWMutex
	client *kgo.Client // another one behind each loss; guarded by gate
	losses []loss      // guarded by gate

	contracts int // that requests are spread over

	mu     sync.Mutex
	acks   map[int]ack      // by sequence number
	lifeOf map[[16]byte]int // in which life a topic of that id was created; guarded by gate
	failed error
}

// ack is an acknowledged request.
type ack struct {
	position
	life int
	at   int64 // Unix milliseconds
}

func (p *publisher) connect(addrs []string) (err error) {
	p.client, err = kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.AlwaysRetryEOF(),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(1<<20), kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(100*time.Millisecond))
	return err
}

// publish sends n requests, evenly over a time, whatever becomes of them, and goes on at that rate until enough is
// closed. It returns once all are acknowledged. What was due while the gate was closed follows at once when it opens.
func (w *collector) publish(ctx context.Context, n, contracts int, over time.Duration, enough <-chan struct{}) error {
	began := time.Now()
	w.contracts = contracts
	for seq := 0; ; seq++ {
		if seq >= n && closed(enough) {
			break
		}
		if due := time.Until(began.Add(over * time.Duration(seq) / time.Duration(n))); due > 0 && !wait.Sleep(ctx, due) {
			return ctx.Err()
		}
		r := newRequest(seq, contracts)
		r.Topic = w.topics.requests
		w.gate.RLock()
		w.send(ctx, seq, r)
		w.gate.RUnlock()
	}
	w.gate.RLock()
	defer w.gate.RUnlock()
	err := w.publisher.client.Flush(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err = errors.Join(err, w.failed); err != nil {
		return fmt.Errorf("publishing requests: %w", err)
	}
	return nil
}

// send requires gate.
func (p *publisher) send(ctx context.Context, seq int, r *kgo.Record) {
	life := len(p.losses)
	p.client.Produce(ctx, r, func(r *kgo.Record, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil {
			p.failed = err
			return
		}
		p.acks[seq] = ack{position{r.Partition, r.Offset}, life, time.Now().UnixMilli()}
	})
}

// between runs what makes Kafka lose requests, or changes where they go, while none is on its way. Whatever it
// returned, they are sent with a new client afterwards: the old one's sequence numbers may be unknown to the log, and
// its partitions too few.
func (w *collector) between(ctx context.Context, happen func() error) error {
	w.gate.Lock()
	defer w.gate.Unlock()
	if err := w.publisher.client.Flush(ctx); err != nil {
		return fmt.Errorf("waiting for requests to be acknowledged: %w", err)
	}
	err := happen()
	w.publisher.client.Close()
	return errors.Join(err, w.connect(w.addrs))
}

// missing returns the acknowledged requests that are not among those in the log.
func (w *collector) missing(there []request) (gone []request, err error) {
	held := make(map[int]bool, len(there))
	for _, q := range there {
		held[q.seq] = true
	}
	for seq, a := range w.acks {
		if held[seq] {
			continue
		}
		r := newRequest(seq, w.contracts)
		r.Partition, r.Offset, r.Timestamp = a.partition, a.offset, time.UnixMilli(a.at)
		q, err := readRequest(r)
		if err != nil {
			return nil, err
		}
		q.life = a.life
		gone = append(gone, q)
	}
	slices.SortFunc(gone, func(x, y request) int { return x.seq - y.seq })
	return gone, nil
}

// named returns the life in which the topic was created whose id is in a commit's metadata, in whatever way it is
// written.
func (p *publisher) named(metadata string) int {
	raw, _ := base64.RawURLEncoding.DecodeString(metadata) // what is before an error
	for id, life := range p.lifeOf {
		if text := base64.RawURLEncoding.EncodeToString(id[:]); strings.Contains(string(raw), string(id[:])) ||
			strings.Contains(metadata, text) {
			return life
		}
	}
	return unsaid.life
}
