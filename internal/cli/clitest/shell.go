// Package clitest calls commands in tests, against topics of their own.
package clitest

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
)

// Configuration is what the commands of this shell are given.
func (s *Shell) Configuration() config.Config {
	s.Helper()
	flags := pflag.NewFlagSet("balanceq", pflag.ContinueOnError)
	config.Register(flags)
	if err := flags.Parse(s.Args()); err != nil {
		s.Fatal(err)
	}
	loaded, err := config.Load(flags, nil)
	if err != nil {
		s.Fatal(err)
	}
	return loaded.Config
}

// Published returns the values in the requests topic by their keys.
func (s *Shell) Published() map[string]string {
	got := map[string]string{}
	for _, m := range s.Broker.ReadAll(s.T, s.Requests) {
		got[string(m.Key)] = string(m.Value)
	}
	return got
}

// File writes a file of the test and returns its path.
func (s *Shell) File(name, text string) string {
	path := filepath.Join(s.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// Shell calls commands of the program against topics of its own.
type Shell struct {
	*testing.T
	Broker                           *kafkatest.Broker
	commands                         []func(*command.Env) *cobra.Command
	Requests, Results, Dead, Replays string // topics
}

// NewShell makes topics for a shell that has only these commands.
func NewShell(t *testing.T, commands ...func(*command.Env) *cobra.Command) *Shell {
	broker := kafkatest.Shared(t)
	return &Shell{
		T: t, commands: commands, Broker: broker,
		Requests: broker.Topic(t, 3), Results: broker.Topic(t, 3), Dead: broker.Topic(t, 3),
		Replays: broker.Topic(t, 1, "retention.ms=-1"),
	}
}

// ignored is for writes whose repetitions and acknowledgements do not matter.
type ignored struct{}

func (ignored) WriteFailed(string, int32, error) {}

func (ignored) Wrote(int) {}

func (ignored) Acknowledged() {}

// Output is what a running command has written so far.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Call is a call of the program that may still be running.
type Call struct {
	Out, Err Output
	Stop     context.CancelFunc // as Ctrl-C does
	ended    chan struct{}
	code     int
}

// Execute runs a program that has only these commands, and returns its exit code.
func Execute(ctx context.Context, args, environ []string, out, err io.Writer,
	commands ...func(*command.Env) *cobra.Command) int {
	e := &command.Env{Environ: environ, Out: out, Err: err}
	return e.Execute(ctx, command.Root(e, commands...), args)
}

// Start calls the program, which goes on by itself until the test ends.
func (s *Shell) Start(args ...string) *Call {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Call{Stop: cancel, ended: make(chan struct{})}
	args = s.Args(args...)
	go func() {
		defer close(c.ended)
		c.code = Execute(ctx, args, nil, &c.Out, &c.Err, s.commands...)
	}()
	s.Cleanup(func() { cancel(); <-c.ended })
	return c
}

// Args adds the configuration to the arguments of a call.
func (s *Shell) Args(args ...string) []string {
	return append(args, "--kafka.brokers", strings.Join(s.Broker.Brokers(), ","),
		"--topics.requests", s.Requests, "--topics.results", s.Results, "--topics.deadletters", s.Dead)
}

// Run calls the program and checks its exit code.
func (s *Shell) Run(code int, args ...string) *Call {
	s.Helper()
	c := s.Start(args...)
	c.Wait(s.T, code)
	return c
}

// Wait waits for the end of the call and checks its exit code.
func (c *Call) Wait(t *testing.T, code int) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(60 * time.Second):
		t.Fatalf("the command does not end\nout: %s\nerr: %s", &c.Out, &c.Err)
	}
	if c.code != code {
		t.Errorf("exit code %d, want %d\nout: %s\nerr: %s", c.code, code, &c.Out, &c.Err)
	}
}

// WantText checks that a text, called what in messages, holds all of these.
func WantText(t *testing.T, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, got)
		}
	}
}

// Count returns how many records a topic has.
func (s *Shell) Count(topic string) (n int64) {
	for _, end := range s.Broker.EndOffsets(s.T, topic) {
		n += end
	}
	return n
}

// Write writes to one of the shell's topics.
func (s *Shell) Write(topic string, messages ...schemas.Message) {
	s.Helper()
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: s.Broker.Brokers(), ClientID: "writer"}, topic)
	defer wire.Close()
	p, err := producer.New(s.Context(), producer.Config{Topics: []string{topic}, BufferBytes: 1 << 20}, wire,
		zerolog.Nop(), ignored{})
	if err != nil {
		s.Fatal(err)
	}
	for _, m := range messages {
		if err := p.Write(s.Context(), topic, 0, m, ignored{}); err != nil {
			s.Error(err)
		}
	}
	if err := p.Close(s.Context()); err != nil {
		s.Error(err)
	}
}

// slot is a request's where its acknowledgement is not waited for.
type slot struct{ inflight.Slot }

func (slot) Acknowledged() {}

// Respond plays the service: it answers each request with what decide makes of it, a nil outcome being no answer.
func (s *Shell) Respond(decide func(*inflight.Request) *schemas.Outcome) {
	s.Helper()
	settings := kafkawire.Settings{Brokers: s.Broker.Brokers(), ClientID: "responder"}
	reading, writing := kafkawire.NewClient(settings, s.Requests), kafkawire.NewClient(settings, s.Results, s.Dead)
	outcomes := producer.Outcomes{Results: s.Results, DeadLetters: s.Dead}
	var err error
	outcomes.Producer, err = producer.New(s.Context(), producer.Config{Topics: outcomes.Topics(), BufferBytes: 1 << 20},
		writing, zerolog.Nop(), ignored{})
	if err != nil {
		s.Fatal(err)
	}
	ready, done := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		reader := tail.Reader{Client: reading, Topic: s.Requests, From: kafkawire.Earliest,
			Ready: func(int64) { close(ready) }}
		_ = reader.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
			req := &inflight.Request{Slot: slot{}, Record: *deadletter.Record(s.Requests, partition, rec)}
			req.Request, req.Err = schemas.DecodeRequest(&req.Record)
			if o := decide(req); o != nil {
				if err := outcomes.Write(ctx, req, *o); err != nil && ctx.Err() == nil {
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

// AnswerAll answers as the service does with a CMS that knows the code AVAILABLE and no contract that begins with 404.
func AnswerAll(req *inflight.Request) *schemas.Outcome {
	r := &req.Request
	switch {
	case req.Err != nil:
		return &schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: &req.Record, RequestID: r.ID,
			Reason: schemas.ReasonInvalidRequest, Detail: req.Err.Error(), DecidedAt: time.Now()}}
	case strings.HasPrefix(string(req.Record.Key), "404"):
		return &schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: &req.Record, RequestID: r.ID, Attempts: 1,
			HTTPStatus:    404,
			CMSReasonCode: "CONTRACT_DOES_NOT_EXIST", Reason: schemas.ReasonContractNotFound,
			Detail: "the CMS has no such contract", DecidedAt: time.Now()}}
	}
	result := &schemas.Result{RequestID: r.ID, ContractID: r.ContractID, Outcome: schemas.OutcomeComplete,
		RetrievedAt: time.Now(), CorrelationID: "c", Source: req.Record.Position}
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
