package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"
)

// App is one instance of balanceq.
type App struct {
	cfg        config.Config
	log        zerolog.Logger
	registry   *prometheus.Registry
	metrics    *telemetry.Metrics
	kafka      kafkawire.Settings
	clients    []*kafkawire.Client // all of them
	connecting connecting
	keys       *connect.Credentials
	cms        *cmsclient.Client
	answers    *processor.Processor
	writing    writer
	consumer   *consumer.Consumer
	handlers   *telemetry.Handlers
	probe      KafkaProbe
	watchdog   *telemetry.Watchdog
	scaler     *telemetry.Scaler
	probes     *telemetry.Server // nil: http.listen is off
	admin      *telemetry.Server // nil: http.admin is off
	exports    exports
}

// New connects to Kafka and builds the pipeline, which has not joined the group yet: the consumer hands what it reads
// to the processor, which asks the CMS, and what the processor decides to the delivery. preflight.Run should have
// passed. An App that is not run must be closed.
func New(ctx context.Context, cfg config.Config, version string, log zerolog.Logger,
	with Overrides) (_ *App, err error) {
	a := &App{cfg: cfg, log: log, registry: prometheus.NewRegistry(), handlers: telemetry.NewHandlers()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.metrics = telemetry.NewMetrics(a.registry, version, log)
	if err := a.export(ctx, version); err != nil {
		return nil, err
	}
	if err := a.connectCMS(version, with); err != nil {
		return nil, err
	}
	if a.kafka, err = a.keys.Kafka(cfg); err != nil {
		return nil, err
	}
	offsets, fetch := a.client(cfg.Topics.Requests), a.client(cfg.Topics.Requests)
	a.connecting.ahead(ctx, offsets, cfg.Topics.Requests, cfg.Kafka.Group)
	a.connecting.ahead(ctx, fetch, cfg.Topics.Requests, "")
	a.answers = processor.New(a.processorConfig(), a.cms, log)
	origin := schemas.Origin{Group: cfg.Kafka.Group, Instance: cfg.Instance, Version: version}
	delivery, err := a.delivery(ctx, origin)
	if err != nil {
		return nil, err
	}
	member, err := membership(ctx, cfg, offsets, log)
	if err != nil {
		return nil, err
	}
	skips := &ledger.Skips{
		Wire: a.seldom(cfg.Topics.Replays, cfg.Topics.Requests), Group: cfg.Kafka.Group,
		Topic: cfg.Topics.Requests, Ledger: cfg.Topics.Replays,
	}
	frames, err := a.frames(version)
	if err != nil {
		return nil, err
	}
	parts := Parts{Config: consumerConfig(cfg), Handlers: a.handlers, Parts: consumer.Parts{
		Offsets: offsets, Fetch: fetch, Member: member,
		Handler: consumer.HandlerFunc(func(ctx context.Context, lane *consumer.Lane) { a.answers.Handle(ctx, lane) }),
		Gate:    a.answers, Delivery: delivery, Skips: skips, Log: log, Observer: a.metrics,
		Frames: frames,
	}}
	if a.exports.tracer != nil {
		parts.Tracer = a.exports.tracer
	}
	if with.Consumer != nil {
		with.Consumer(&parts)
	}
	a.consumer = consumer.New(parts.Config, parts.Parts)
	a.probe = KafkaProbe{Wire: a.seldom(cfg.Topics.Requests), Group: cfg.Kafka.Group, Topic: cfg.Topics.Requests}
	if err := a.monitor(with); err != nil {
		return nil, err
	}
	return a, a.listen(telemetry.About{Instance: cfg.Instance, Version: version, Started: time.Now(),
		Group: cfg.Kafka.Group, Topic: cfg.Topics.Requests, Budget: cfg.DeadLetters.Budget})
}

// client makes a client of Kafka that knows these topics' leaders. Each user has its own: none waits behind another.
func (a *App) client(topics ...string) *kafkawire.Client {
	return a.keep(kafkawire.NewClient(a.kafka, topics...))
}

// seldom makes one for what is asked for now and then: with thousands of partitions, reading the metadata every
// other second for each client is half of what an instance at rest costs.
func (a *App) seldom(topics ...string) *kafkawire.Client {
	settings := a.kafka
	settings.Metadata = 30 * time.Second
	return a.keep(kafkawire.NewClient(settings, topics...))
}

func (a *App) keep(c *kafkawire.Client) *kafkawire.Client {
	a.clients = append(a.clients, c)
	return c
}

func (a *App) connectCMS(version string, with Overrides) error {
	settings, credentials, err := connect.CMS(a.cfg, version)
	if err != nil {
		return err
	}
	if with.CMS != nil {
		with.CMS(&settings)
	}
	a.keys = credentials
	a.cms, err = cmsclient.New(settings, with.Observer, a.metrics)
	return err
}
