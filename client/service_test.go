package client_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// service stands in for balanceq: it reads requests and answers each as it is told, with a client library of another
// make.
type service struct {
	tb       testing.TB
	client   *kgo.Client
	requests string
	results  string
	answer   func(*schemas.Record, schemas.Request) (answers []schemas.Message, after time.Duration)
	wg       sync.WaitGroup
}

// answerAll gives every code that is asked for a balance that names contract and request, so that no two answers are
// alike.
func answerAll(rec *schemas.Record, q schemas.Request) ([]schemas.Message, time.Duration) {
	return []schemas.Message{resultOf(rec, q).Message(rec.Key)}, 0
}

func resultOf(rec *schemas.Record, q schemas.Request) *schemas.Result {
	r := &schemas.Result{RequestID: q.ID, ContractID: q.ContractID, Outcome: schemas.OutcomeComplete,
		RetrievedAt: time.Now(), CorrelationID: "c", Source: rec.Position}
	for _, code := range q.BalanceCodes {
		r.Balances = append(r.Balances, schemas.Balance{Code: code, ID: strconv.FormatInt(q.ContractID, 10), Value: "1.00"})
	}
	return r
}

// serviceWait is how long its fetches wait; those of clients wait longer.
const serviceWait = 250 * time.Millisecond

func startService(tb testing.TB, brokers []string, requests, results string,
	answer func(*schemas.Record, schemas.Request) ([]schemas.Message, time.Duration)) *service {
	tb.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(requests),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerLinger(0), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.FetchMaxWait(serviceWait),
		kgo.MetadataMaxAge(time.Second))
	if err != nil {
		tb.Fatal(err)
	}
	s := &service{tb: tb, client: cl, requests: requests, results: results, answer: answer}
	ctx, stop := context.WithCancel(context.Background())
	s.wg.Go(func() { s.run(ctx) })
	tb.Cleanup(func() {
		stop()
		s.wg.Wait()
		cl.Close()
	})
	return s
}

func (s *service) run(ctx context.Context) {
	for {
		fetches := s.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			rec := &schemas.Record{Position: schemas.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
				Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				rec.Headers = append(rec.Headers, schemas.Header{Key: h.Key, Value: h.Value})
			}
			q, _ := schemas.DecodeRequest(rec) // what is not valid is for the test to refuse
			messages, after := s.answer(rec, q)
			if after == 0 {
				s.write(ctx, messages)
				return
			}
			s.wg.Go(func() {
				timer := time.NewTimer(after)
				defer timer.Stop()
				select {
				case <-ctx.Done():
				case <-timer.C:
					s.write(ctx, messages)
				}
			})
		})
	}
}

func (s *service) write(ctx context.Context, messages []schemas.Message) {
	for _, m := range messages {
		out := &kgo.Record{Topic: s.results, Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.client.Produce(ctx, out, nil)
	}
}

// topics makes a pair for one test.
func topics(tb testing.TB, b *kafkatest.Broker, requests, results int) client.Config {
	tb.Helper()
	return client.Config{Brokers: b.Brokers(), Requests: b.Topic(tb, requests), Results: b.Topic(tb, results)}
}

// opened is a client that is closed with the test.
func opened(tb testing.TB, cfg client.Config) *client.Client {
	tb.Helper()
	c, err := client.Open(within(tb), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx) // a test that minds closes it itself
	})
	return c
}

// within bounds what a test waits for.
func within(tb testing.TB) context.Context { return kafkatest.Deadline(tb, 30*time.Second) }
