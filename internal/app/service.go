package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
)

// Service is one instance of balanceq.
type Service struct {
	cfg      config.Config
	log      zerolog.Logger
	registry *prometheus.Registry
	metrics  *telemetry.Metrics
	cms      *cmsclient.Client
	keys     *connect.Credentials
	answers  *processor.Processor
	wires    []*kafkawire.Client
	writing  writer
	consumer *consumer.Consumer
	handlers *telemetry.Handlers
	probe    KafkaProbe
	watchdog *telemetry.Watchdog
	server   *telemetry.Server // nil: http.listen is off
}

// New connects to Kafka and builds the pipeline; it has not joined the group yet. preflight.Run should have passed. A Service
// that is not run must be closed.
func New(ctx context.Context, cfg config.Config, version string, log zerolog.Logger, opts ...Option) (*Service, error) {
	var chosen options
	for _, opt := range opts {
		opt(&chosen)
	}
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, log: log, registry: prometheus.NewRegistry(), handlers: telemetry.NewHandlers()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.metrics = telemetry.NewMetrics(s.registry, log)
	var cms cmsclient.Config
	if cms, s.keys, err = connect.CMS(cfg, version); err != nil {
		return nil, err
	}
	if s.cms, err = cmsclient.New(cms, append(chosen.watchers, s.metrics)...); err != nil {
		return nil, err
	}
	wire := func(topics ...string) *kafkawire.Client {
		w := kafkawire.NewClient(settings, topics...)
		s.wires = append(s.wires, w)
		return w
	}
	outcomes := producer.Outcomes{
		Results: cfg.Topics.Results, DeadLetters: cfg.Topics.DeadLetters,
		Origin: schemas.Origin{Group: cfg.Kafka.Group, Instance: cfg.Instance, Version: version},
	}
	delivery, err := s.deliver(ctx, outcomes, wire(outcomes.Topics()...))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	offsets := wire(cfg.Topics.Requests)
	member, err := membership(ctx, cfg, offsets, log)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.probe = KafkaProbe{Wire: wire(cfg.Topics.Requests), Group: cfg.Kafka.Group, Topic: cfg.Topics.Requests}
	answering := processorConfig(cfg)
	answering.Progress = s.handlers.Begin
	s.answers = processor.New(answering, s.cms, log)
	s.consumer = consumer.New(consumerConfig(cfg), consumer.Parts{
		Offsets: offsets, Fetch: wire(cfg.Topics.Requests),
		Member:   member,
		Delivery: delivery,
		Handler:  s.handler(),
		Skips: &ledger.Skips{
			Wire: wire(cfg.Topics.Replays, cfg.Topics.Requests), Group: cfg.Kafka.Group, Topic: cfg.Topics.Requests, Ledger: cfg.Topics.Replays,
		},
		Gate: s.answers, Log: log, Observer: s.metrics,
	})
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) handler() consumer.Handler {
	return consumer.HandlerFunc(func(ctx context.Context, lane *consumer.Lane) {
		s.answers.Handle(ctx, lane)
	})
}

func (s *Service) listen() error {
	sources := s.Sources()
	if err := telemetry.RegisterGauges(s.registry, sources); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	var err error
	if s.watchdog, err = telemetry.NewWatchdog(stallTimeouts(s.cfg), s.registry, s.metrics, sources, s.log); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	if s.cfg.HTTP.Listen == "" {
		return nil
	}
	hosts := s.cfg.HTTP.AllowedHosts
	if name, err := os.Hostname(); err == nil { // a host without a name is asked for by its address
		hosts = append(slices.Clone(hosts), name)
	}
	server, err := telemetry.Listen(s.cfg.HTTP.Listen, hosts, s.registry, sources, s.watchdog, s.resume)
	if err != nil {
		return fmt.Errorf("http.listen: %w; choose another address, or off to serve nothing", err)
	}
	s.server = server
	return nil
}

// resume is what POST /resume does.
func (s *Service) resume(who string) telemetry.Resumption {
	was, resumed := s.answers.Resume(who)
	return telemetry.Resumption{Instance: s.cfg.Instance, Resumed: resumed, Was: was}
}

// Sources give snapshots of the running parts.
func (s *Service) Sources() telemetry.Sources {
	return telemetry.Sources{
		Consumer: s.consumer.Status, Producer: s.writing.Status, CMS: s.cms.Status, Budget: s.answers.Budget,
		Keys: s.keys.Status, CallsSaved: s.answers.CallsSaved, Handlers: s.handlers, AskKafka: s.probe.Ask,
	}
}

// HTTPAddr is the address of the HTTP server; "" without one.
func (s *Service) HTTPAddr() string {
	if s.server == nil {
		return ""
	}
	return s.server.Addr()
}

// Run works until ctx ends or something fails that cannot be waited out, and stops in the order in which records flow: the
// consumer drains, commits and leaves; then the producer writes what is left; the HTTP server is the last, so that the end
// can still be scraped.
func (s *Service) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var serving, watchers sync.WaitGroup
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	watchers.Go(func() { s.keys.Watch(watching, s.log) })
	watchers.Go(func() { s.watchdog.Run(watching) })
	if s.server != nil {
		serving.Go(func() {
			if err := s.server.Serve(); err != nil {
				stop(err)
			}
		})
	}
	s.log.Info().Str("http", s.HTTPAddr()).Str("requests", s.cfg.Topics.Requests).Str("results", s.cfg.Topics.Results).
		Str("deadletters", s.cfg.Topics.DeadLetters).Str("group", s.cfg.Kafka.Group).Msg("starting")
	err := s.consume(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	stopWatching()
	waitFor(&watchers, flushTimeout)
	err = errors.Join(err, s.Close())
	serving.Wait()
	s.log.Info().Msg("stopped")
	return err
}

// waitFor waits for those that use what is about to be closed, but not for ever: the watchdog hangs where the pipeline
// deadlocks.
func waitFor(wg *sync.WaitGroup, atMost time.Duration) {
	done := make(chan struct{})
	go func() { defer close(done); wg.Wait() }()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// consume runs the consumer, and after the order to stop waits for it no longer than the shutdown budget: a broker that is
// gone must not keep the process from ending. What was not committed then is read again.
func (s *Service) consume(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.consumer.Run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		s.log.Info().Int64("budget_ms", s.cfg.Shutdown.Timeout.Milliseconds()).Msg("stopping: finishing what was started")
	}
	budget := time.NewTimer(max(s.cfg.Shutdown.Timeout/2, s.cfg.Shutdown.Timeout-flushTimeout))
	defer budget.Stop()
	select {
	case err := <-done:
		return err
	case <-budget.C:
		return fmt.Errorf("stopping: not drained and out of the group within shutdown.timeout (%v); what is unfinished will be read again",
			s.cfg.Shutdown.Timeout)
	}
}

// flushTimeout is what is kept of the shutdown budget for writes that the drain has left behind, and for the HTTP server.
const flushTimeout = 2 * time.Second

// Close releases everything; it is safe after Run and after a failed New.
func (s *Service) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	var err error
	if s.writing != nil {
		err = s.writing.Close(ctx)
	}
	if s.cms != nil {
		s.cms.Close()
	}
	for _, w := range s.wires {
		w.Close()
	}
	if s.server != nil {
		err = errors.Join(err, s.server.Shutdown(ctx))
	}
	return err
}
