package app

import (
	"context"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/producer"
)

// writer is what writes outcomes, whichever way they are delivered.
type writer interface {
	Status() producer.Status
	Close(ctx context.Context) error
}

// deliver makes what the configured delivery needs, and starts it.
func (s *Service) deliver(ctx context.Context, outcomes producer.Outcomes, wire *kafkawire.Client) (consumer.Delivery, error) {
	if s.cfg.Delivery == config.DeliveryExactlyOnce {
		transactions, err := producer.NewTransactions(ctx, producer.TransactionConfig{
			ID: s.cfg.TransactionalID(), Group: s.cfg.Kafka.Group, Topic: s.cfg.Topics.Requests,
			Timeout: s.cfg.Kafka.TransactionTimeout, BufferBytes: int(s.cfg.Producer.BufferBytes),
		}, outcomes, wire, s.log, s.metrics)
		if err != nil {
			return nil, err
		}
		s.writing = transactions
		return consumer.ExactlyOnce{Writer: transactions}, nil
	}
	p, err := producer.New(ctx, producer.Config{
		Topics: outcomes.Topics(), Outcomes: outcomes, BufferBytes: int(s.cfg.Producer.BufferBytes),
	}, wire, s.log, s.metrics)
	if err != nil {
		return nil, err
	}
	s.writing = p
	outcomes.Producer = p
	return consumer.AtLeastOnce{Writer: outcomes}, nil
}
