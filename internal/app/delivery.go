package app

import (
	"context"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

// writer is what writes outcomes, whichever way they are delivered.
type writer interface {
	Status() producer.Status
	Close(ctx context.Context) error
}

// delivery makes what the configured delivery needs, and starts it.
func (a *App) delivery(ctx context.Context, origin schemas.Origin) (consumer.Delivery, error) {
	outcomes := producer.Outcomes{Results: a.cfg.Topics.Results, DeadLetters: a.cfg.Topics.DeadLetters,
		Replies: a.cfg.Results.ReplyTopics, ReplyDropped: a.metrics.ReplyDropped, Origin: origin}
	if len(a.cfg.Results.Registry.URLs) > 0 {
		var err error
		if outcomes.SchemaID, err = a.resultSchema(ctx, origin.Version); err != nil {
			return nil, err
		}
	}
	wire := a.client(outcomes.Topics()...)
	if a.cfg.Delivery == config.DeliveryExactlyOnce {
		a.connecting.ahead(ctx, wire, a.cfg.Topics.Results, a.cfg.Kafka.Group)
		transactions, err := producer.NewTransactions(ctx, producer.TransactionConfig{
			ID: a.cfg.TransactionalID(), Group: a.cfg.Kafka.Group, Topic: a.cfg.Topics.Requests,
			Timeout: a.cfg.Kafka.TransactionTimeout, BufferBytes: int(a.cfg.Producer.BufferBytes),
		}, outcomes, wire, a.log, a.metrics)
		if err != nil {
			return nil, err
		}
		a.writing = transactions
		return consumer.ExactlyOnce{Writer: transactions}, nil
	}
	a.connecting.ahead(ctx, wire, a.cfg.Topics.Results, "")
	p, err := producer.New(ctx, producer.Config{
		Topics: outcomes.Topics(), Outcomes: outcomes, BufferBytes: int(a.cfg.Producer.BufferBytes),
	}, wire, a.log, a.metrics)
	if err != nil {
		return nil, err
	}
	a.writing = p
	outcomes.Producer = p
	return consumer.AtLeastOnce{Writer: outcomes}, nil
}
