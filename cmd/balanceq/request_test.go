package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"

	"github.com/rs/zerolog"
)

// shell calls the program against topics of its own.
type shell struct {
	*testing.T
	broker                  *kafkatest.Broker
	requests, results, dead string // topics
}

func newShell(t *testing.T) *shell {
	broker := kafkatest.Shared()
	return &shell{T: t, broker: broker, requests: broker.Topic(t, 3), results: broker.Topic(t, 3), dead: broker.Topic(t, 3)}
}

// output is what a running command has written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command is a call of the program that may still be running.
type command struct {
	out, err output
	stop     context.CancelFunc // as Ctrl-C does
	ended    chan struct{}
	code     int
}

func (s *shell) start(args ...string) *command {
	ctx, cancel := context.WithCancel(context.Background())
	c := &command{stop: cancel, ended: make(chan struct{})}
	args = s.args(args...)
	go func() {
		defer close(c.ended)
		c.code = execute(ctx, args, nil, &c.out, &c.err)
	}()
	s.Cleanup(func() { cancel(); <-c.ended })
	return c
}

// args adds the configuration to the arguments of a call.
func (s *shell) args(args ...string) []string {
	return append(args, "--kafka.brokers", strings.Join(s.broker.Brokers(), ","),
		"--topics.requests", s.requests, "--topics.results", s.results, "--topics.deadletters", s.dead)
}

// run calls the program and checks its exit code.
func (s *shell) run(code int, args ...string) *command {
	s.Helper()
	c := s.start(args...)
	c.wait(s.T, code)
	return c
}

func (c *command) wait(t *testing.T, code int) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(60 * time.Second):
		t.Fatalf("the command does not end\nout: %s\nerr: %s", &c.out, &c.err)
	}
	if c.code != code {
		t.Errorf("exit code %d, want %d\nout: %s\nerr: %s", c.code, code, &c.out, &c.err)
	}
}

func wantText(t *testing.T, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, got)
		}
	}
}

// count returns how many records a topic has.
func (s *shell) count(topic string) (n int64) {
	for _, end := range s.broker.EndOffsets(s.T, topic) {
		n += end
	}
	return n
}

// write writes to one of the shell's topics.
func (s *shell) write(topic string, messages ...schemas.Message) {
	s.Helper()
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: s.broker.Brokers(), ClientID: "writer"}, topic)
	defer wire.Close()
	p, err := producer.New(s.Context(), producer.Config{Topics: []string{topic}, BufferBytes: 1 << 20}, wire, zerolog.Nop(), writeFailures{})
	if err != nil {
		s.Fatal(err)
	}
	for _, m := range messages {
		if err := p.Write(s.Context(), topic, 0, m, &publisher{}); err != nil {
			s.Error(err)
		}
	}
	if err := p.Close(s.Context()); err != nil {
		s.Error(err)
	}
}

// respond plays the service: it answers each request with what decide makes of it, a nil outcome being no answer.
func (s *shell) respond(decide func(*schemas.Inquiry) *schemas.Outcome) {
	s.Helper()
	settings := kafkawire.Settings{Brokers: s.broker.Brokers(), ClientID: "responder"}
	reading, writing := kafkawire.NewClient(settings, s.requests), kafkawire.NewClient(settings, s.results, s.dead)
	outcomes := producer.Outcomes{Results: s.results, DeadLetters: s.dead}
	var err error
	outcomes.Producer, err = producer.New(s.Context(), producer.Config{Topics: outcomes.Topics(), BufferBytes: 1 << 20},
		writing, zerolog.Nop(), writeFailures{})
	if err != nil {
		s.Fatal(err)
	}
	ready, done := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		reader := kafkawire.Reader{Client: reading, Topic: s.requests, From: kafkawire.Earliest, Ready: func(int64) { close(ready) }}
		_ = reader.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
			inq := &schemas.Inquiry{Record: deadletter.Record(s.requests, partition, rec)}
			inq.Request, inq.Err = schemas.DecodeRequest(inq.Record)
			if o := decide(inq); o != nil {
				if err := outcomes.Write(ctx, inq, *o, &publisher{}); err != nil && ctx.Err() == nil {
					s.Error(err)
				}
			}
			return true
		})
	}()
	s.Cleanup(func() {
		_ = outcomes.Producer.Close(context.Background())
		cancel()
		<-done
		reading.Close()
		writing.Close()
	})
	<-ready
}

// answerAll answers as the service does with a CMS that knows the code AVAILABLE and no contract that begins with 404.
func answerAll(inq *schemas.Inquiry) *schemas.Outcome {
	r := &inq.Request
	switch {
	case inq.Err != nil:
		return &schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: inq.Record, RequestID: r.ID,
			Reason: schemas.ReasonInvalidRequest, Detail: inq.Err.Error(), DecidedAt: time.Now()}}
	case strings.HasPrefix(string(inq.Record.Key), "404"):
		return &schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: inq.Record, RequestID: r.ID, Attempts: 1, HTTPStatus: 404,
			CMSReasonCode: "CONTRACT_DOES_NOT_EXIST", Reason: schemas.ReasonContractNotFound, Detail: "the CMS has no such contract", DecidedAt: time.Now()}}
	}
	result := &schemas.Result{RequestID: r.ID, ContractID: r.ContractID, Outcome: schemas.OutcomeComplete,
		RetrievedAt: time.Now(), CorrelationID: "c", Source: inq.Record.Position}
	for _, code := range r.BalanceCodes {
		if code == "AVAILABLE" {
			result.Balances = append(result.Balances, schemas.Balance{Code: code, ID: "7", Currency: "EUR", Value: "9811.31"})
			continue
		}
		result.MissingBalanceCodes = append(result.MissingBalanceCodes, code)
		result.Outcome = schemas.OutcomePartial
	}
	return &schemas.Outcome{Result: result}
}
