// Command kafka-go is the plain loop of segmentio/kafka-go: as many readers as partitions, each of which takes one
// record after the other. Offsets are committed once a second, those of written results only.
package main

import (
	"context"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/tools/bench/peers/job"
)

const readers = 12 // as many as the topic has partitions

func main() {
	ctx, j := job.FromEnvironment()
	writer := &kafka.Writer{
		Addr: kafka.TCP(j.Brokers...), Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll,
		BatchSize: 1, // WriteMessages waits for its batch, for a second by default
	}
	defer func() { _ = writer.Close() }()
	var running sync.WaitGroup
	for range readers {
		running.Go(func() {
			if err := loop(ctx, j, writer); err != nil && ctx.Err() == nil {
				job.Fail(err)
			}
		})
	}
	running.Wait()
}

func loop(ctx context.Context, j job.Job, writer *kafka.Writer) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: j.Brokers, GroupID: j.Group, Topic: j.Requests, StartOffset: kafka.FirstOffset,
		MaxWait: 100 * time.Millisecond, CommitInterval: time.Second,
	})
	defer func() { _ = reader.Close() }()
	for {
		m, err := reader.FetchMessage(ctx)
		if err != nil {
			return err
		}
		topic, answer, err := j.Do(ctx, m.Value)
		if err != nil {
			return err
		}
		if err := writer.WriteMessages(ctx, kafka.Message{Topic: topic, Key: m.Key, Value: answer}); err != nil {
			return err
		}
		if err := reader.CommitMessages(ctx, m); err != nil {
			return err
		}
	}
}
