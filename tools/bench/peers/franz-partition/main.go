// Command franz-partition is twmb/franz-go with a worker for each partition, which takes one record after the other and
// so keeps their order. What has a result is marked; marks are committed by the client.
package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/tools/bench/peers/job"
)

func main() {
	ctx, j := job.FromEnvironment()
	client, err := kgo.NewClient(kgo.SeedBrokers(j.Brokers...), kgo.ConsumerGroup(j.Group), kgo.ConsumeTopics(j.Requests),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0))
	if err != nil {
		job.Fail(err)
	}
	workers := map[int32]chan []*kgo.Record{}
	for {
		fetches := client.PollRecords(ctx, 10_000)
		if ctx.Err() != nil {
			break
		}
		if err := fetches.Err(); err != nil {
			job.Fail(err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) == 0 {
				return
			}
			if workers[p.Partition] == nil {
				workers[p.Partition] = make(chan []*kgo.Record, 4)
				go work(ctx, j, client, workers[p.Partition])
			}
			workers[p.Partition] <- p.Records
		})
	}
	client.Close()
}

func work(ctx context.Context, j job.Job, client *kgo.Client, polls <-chan []*kgo.Record) {
	for records := range polls {
		for _, r := range records {
			topic, answer, err := j.Do(ctx, r.Value)
			if err == nil {
				err = client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: r.Key, Value: answer}).FirstErr()
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				job.Fail(err)
			}
			client.MarkCommitRecords(r)
		}
	}
}
