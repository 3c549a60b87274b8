// Command franz-pool is twmb/franz-go with a pool of workers, the fastest simple way in Go: poll, let the workers take
// the records in any order, wait for all results to be written, commit. It keeps no order.
package main

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/tools/bench/peers/job"
)

// perPoll is the most records of a poll. Few mean many times that the workers wait for the slowest call of a poll.
const perPoll = 16_000

func main() {
	ctx, j := job.FromEnvironment()
	client, err := kgo.NewClient(kgo.SeedBrokers(j.Brokers...), kgo.ConsumerGroup(j.Group), kgo.ConsumeTopics(j.Requests),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0))
	if err != nil {
		job.Fail(err)
	}
	p := pool{Job: j, client: client, work: make(chan *kgo.Record)}
	for range j.InFlight {
		go p.worker(ctx)
	}
	if err := p.run(ctx); err != nil && ctx.Err() == nil {
		job.Fail(err)
	}
	client.CloseAllowingRebalance()
}

type pool struct {
	job.Job
	client *kgo.Client
	work   chan *kgo.Record
	open   sync.WaitGroup // records of the poll without a result yet

	mu     sync.Mutex
	failed error
}

func (p *pool) run(ctx context.Context) error {
	for {
		fetches := p.client.PollRecords(ctx, perPoll)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			p.open.Add(1)
			p.work <- r
		})
		p.open.Wait()
		if p.failed != nil {
			return p.failed
		}
		if err := p.client.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
		p.client.AllowRebalance()
	}
}

func (p *pool) worker(ctx context.Context) {
	for r := range p.work {
		topic, answer, err := p.Do(ctx, r.Value)
		if err != nil {
			p.done(nil, err)
			continue
		}
		p.client.Produce(ctx, &kgo.Record{Topic: topic, Key: r.Key, Value: answer}, p.done)
	}
}

func (p *pool) done(_ *kgo.Record, err error) {
	if err != nil {
		p.mu.Lock()
		p.failed = errors.Join(p.failed, err)
		p.mu.Unlock()
	}
	p.open.Done()
}
