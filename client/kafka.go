package client

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/client/internal/link"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

// kafkaLink writes to the requests topic and reads those of the answers.
type kafkaLink struct {
	topic    string
	wire     *kafkawire.Client // the producer's
	producer *producer.Producer
	readers  []*reader
}

func openKafka(ctx context.Context, cfg Config, take link.Take) (link.Link, error) {
	l := &kafkaLink{topic: cfg.Requests}
	read := map[string]func(*schemas.Record){cfg.Results: take.Result}
	if cfg.DeadLetters != "" {
		read[cfg.DeadLetters] = take.DeadLetter
	}
	for topic, to := range read {
		r := newReader(cfg.settings(), topic, take.Wanted, to, cfg.Observer)
		if err := r.open(ctx); err != nil {
			l.Close()
			return nil, fmt.Errorf("reading %s: %w", topic, err)
		}
		l.readers = append(l.readers, r)
	}
	l.wire = kafkawire.NewClient(cfg.settings(), cfg.Requests)
	var err error
	l.producer, err = producer.New(ctx, producer.Config{Topics: []string{cfg.Requests}, BufferBytes: cfg.BufferBytes},
		l.wire, zerolog.Nop(), writes{cfg.Observer})
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("writing to %s: %w", cfg.Requests, err)
	}
	return l, nil
}

// Write implements link.Link.
func (l *kafkaLink) Write(ctx context.Context, m schemas.Message, ack link.Ack) error {
	return l.producer.Write(ctx, l.topic, producer.Keyed, m, ack)
}

// Flush implements link.Link.
func (l *kafkaLink) Flush(ctx context.Context) error {
	if err := l.producer.Close(ctx); err != nil { // what it says is about the service
		return fmt.Errorf("client: closed before Kafka had acknowledged all requests: %w", context.Cause(ctx))
	}
	return nil
}

// Close implements link.Link.
func (l *kafkaLink) Close() {
	for _, r := range l.readers {
		r.close()
	}
	if l.wire != nil {
		l.wire.Close()
	}
}

// writes passes on what the producer observes.
type writes struct{ Observer }

// Wrote implements producer.Observer.
func (writes) Wrote(int) {}

// WriteFailed implements producer.Observer.
func (w writes) WriteFailed(topic string, partition int32, err error) {
	w.Failing(fmt.Errorf("client: writing to %s/%d: %w", topic, partition, err))
}
