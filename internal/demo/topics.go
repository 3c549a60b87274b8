package demo

import (
	"context"
	"fmt"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/schemas"
)

// record is a record of a topic in the vocabulary of package schemas.
func record(topic string, partition int32, rec *kafkawire.Record) *schemas.Record {
	return &schemas.Record{
		Position: schemas.Position{Topic: topic, Partition: partition, Offset: rec.Offset},
		Key:      rec.Key, Value: rec.Value, Headers: rec.Headers, Time: rec.Time, Oversized: rec.Oversized,
	}
}

func header(r *schemas.Record, name string) string {
	value, _ := r.Header(name)
	return string(value)
}

// readRequest understands a record of the requests topic. The contract is that of the key, which malformed requests
// have, too.
func readRequest(r *schemas.Record) request {
	q := request{at: r.Position, id: header(r, schemas.HeaderEventID), kind: kind(header(r, headerKind))}
	if _, err := fmt.Sscan(string(r.Key), &q.contract); err != nil {
		q.kind = "" // not the demo's: the checks say so
	}
	return q
}

// readResult understands a record of the results topic.
func readResult(r *schemas.Record) (answer, error) {
	result, err := schemas.DecodeResult(r.Value)
	if err != nil {
		return answer{}, fmt.Errorf("reading result %s: %w", r.Position, err)
	}
	return answer{at: r.Position, source: result.Source, id: result.RequestID, outcome: result.Outcome, time: r.Time}, nil
}

// readDeadLetter understands a record of the dead-letter topic, by its headers alone.
func readDeadLetter(r *schemas.Record) (answer, error) {
	info := schemas.ReadDeadLetter(r)
	if !info.HasSource || info.Reason == "" {
		return answer{}, fmt.Errorf("reading dead letter %s: its headers name no source or no reason", r.Position)
	}
	return answer{at: r.Position, source: info.Source, id: header(r, schemas.HeaderEventID), reason: info.Reason,
		time: r.Time}, nil
}

// readLedger reads the three topics from start to end.
func readLedger(ctx context.Context, settings kafkawire.Settings, topics config.Topics) (ledger, error) {
	client := kafkawire.NewClient(settings)
	defer client.Close()
	var b ledger
	var broken error
	each := func(topic string, take func(*schemas.Record) error) error {
		err := tail.Reader{Client: client, Topic: topic, From: kafkawire.Earliest, ToEnd: true}.Read(ctx,
			func(partition int32, rec *kafkawire.Record) bool {
				broken = take(record(topic, partition, rec))
				return broken == nil
			})
		if broken != nil {
			return broken
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		return nil
	}
	if err := each(topics.Requests, func(r *schemas.Record) error {
		b.requests = append(b.requests, readRequest(r))
		return nil
	}); err != nil {
		return b, err
	}
	if err := each(topics.Results, func(r *schemas.Record) error {
		a, err := readResult(r)
		b.results = append(b.results, a)
		return err
	}); err != nil {
		return b, err
	}
	err := each(topics.DeadLetters, func(r *schemas.Record) error {
		a, err := readDeadLetter(r)
		b.deadLetters = append(b.deadLetters, a)
		return err
	})
	return b, err
}
