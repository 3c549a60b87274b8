// Command watermill is ThreeDotsLabs/watermill with watermill-kafka: a router with a handler. The subscriber takes the
// next record of a partition when the one before is acknowledged, so order is kept and there are as many calls at once
// as partitions.
package main

import (
	"context"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/balanceq/balanceq/tools/bench/peers/job"
)

const key = "key" // of a record, in a message's metadata

func main() {
	ctx, j := job.FromEnvironment()
	if err := run(ctx, j); err != nil && ctx.Err() == nil {
		job.Fail(err)
	}
}

func run(ctx context.Context, j job.Job) error {
	marshaler := kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return m.Metadata.Get(key), nil
	})
	reading := kafka.DefaultSaramaSubscriberConfig()
	reading.Version = sarama.V2_1_0_0
	reading.Consumer.Offsets.Initial = sarama.OffsetOldest
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: j.Brokers, ConsumerGroup: j.Group, Unmarshaler: marshaler, OverwriteSaramaConfig: reading,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	writing := kafka.DefaultSaramaSyncPublisherConfig()
	writing.Version, writing.Producer.RequiredAcks = reading.Version, sarama.WaitForAll
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers: j.Brokers, Marshaler: marshaler, OverwriteSaramaConfig: writing,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router.AddConsumerHandler("balances", j.Requests, subscriber, func(m *message.Message) error {
		topic, answer, err := j.Do(m.Context(), m.Payload)
		if err != nil {
			return err // and the record comes again
		}
		out := message.NewMessage(watermill.NewShortUUID(), answer)
		if contract, ok := kafka.MessageKeyFromCtx(m.Context()); ok {
			out.Metadata.Set(key, string(contract))
		}
		return publisher.Publish(topic, out)
	})
	return router.Run(ctx)
}
