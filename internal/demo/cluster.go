package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/app"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/telemetry"
)

// cluster is everything that the demo runs in its own process: a broker with its data in a temporary folder, the
// simulator, and the service. All of it listens on the loopback interface only.
type cluster struct {
	dir      string
	logFile  *os.File
	log      zerolog.Logger
	kafka    *kfake.Cluster
	sim      *cmssim.Server
	cfg      config.Config
	settings kafkawire.Settings
	service  *app.App
	breaker  breakerLog

	stopService context.CancelFunc
	stopped     chan struct{} // closed when the service has ended
	serviceErr  error         // valid then
}

const (
	logName     = "balanceq.log"
	partitions  = 4
	simLatency  = 25 * time.Millisecond
	simJitter   = 10 * time.Millisecond
	joinBudget  = time.Minute
	closeBudget = 5 * time.Second
)

// openCluster starts everything and waits until the service has joined its group. What it has opened before an error is
// for close, too.
func openCluster(ctx context.Context) (*cluster, error) {
	s := &cluster{stopped: make(chan struct{}), stopService: func() {}}
	if err := s.openFolder(); err != nil {
		return s, err
	}
	var err error
	if s.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(filepath.Join(s.dir, "kafka"))); err != nil {
		return s, fmt.Errorf("starting the embedded broker: %w", err)
	}
	if s.sim, err = cmssim.Listen("127.0.0.1:0", cmssim.Config{Latency: simLatency, Jitter: simJitter,
		Seed: 1}); err != nil {
		return s, err
	}
	s.cfg = settingsFor(s.kafka.ListenAddrs(), s.sim.URL())
	if s.settings, err = connect.Kafka(s.cfg); err != nil {
		return s, err
	}
	if err := s.createTopics(ctx); err != nil {
		return s, err
	}
	return s, s.startService(ctx)
}

// settingsFor are the defaults but for what would make the demo slow: a breaker that opens and probes within seconds,
// and so few calls at a time that the backlog takes a moment to drain.
func settingsFor(brokers []string, cmsURL string) config.Config {
	cfg := config.Default()
	cfg.Instance = "demo"
	cfg.Kafka.Brokers = brokers
	cfg.CMS.URL = cmsURL
	cfg.CMS.MaxInFlight = 24
	cfg.CMS.Timeout = time.Second
	cfg.CMS.Backoff.Max = time.Second
	cfg.CMS.Breaker.Window = 2 * time.Second // the least for this timeout
	cfg.CMS.Breaker.MinCalls = 10
	cfg.CMS.Breaker.OpenTime = 2 * time.Second
	cfg.HTTP.Listen, cfg.HTTP.Admin = "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

func (s *cluster) openFolder() error {
	var err error
	if s.dir, err = os.MkdirTemp("", "balanceq-demo-"); err != nil {
		return fmt.Errorf("making a folder for the demo's data: %w", err)
	}
	if s.logFile, err = os.Create(filepath.Join(s.dir, logName)); err != nil {
		return fmt.Errorf("opening the service's log: %w", err)
	}
	s.log, err = telemetry.NewLogger(s.logFile, "info", config.LogFormatJSON)
	return err
}

func (s *cluster) createTopics(ctx context.Context) error {
	client := kafkawire.NewClient(s.settings)
	defer client.Close()
	// for the largest request
	large := map[string]string{"max.message.bytes": strconv.Itoa(1<<20 + 2*preflight.OutcomeHeadroom)}
	for _, t := range []kafkawire.Topic{
		{Name: s.cfg.Topics.Requests, Partitions: partitions},
		{Name: s.cfg.Topics.Results, Partitions: partitions, Configs: large},
		{Name: s.cfg.Topics.DeadLetters, Partitions: partitions, Configs: large},
		// to be tried with --keep
		{Name: s.cfg.Topics.Replays, Partitions: 1, Configs: map[string]string{"retention.ms": "-1"}},
	} {
		t.ReplicationFactor = 1
		if _, err := client.CreateTopic(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// startService does what balanceq run does, in a goroutine.
func (s *cluster) startService(ctx context.Context) error {
	if err := preflight.Run(ctx, s.cfg, s.log); err != nil {
		return fmt.Errorf("checking before the start: %w", err)
	}
	var err error
	if s.service, err = app.New(ctx, s.cfg, "demo", s.log, app.Overrides{Observer: &s.breaker}); err != nil {
		return fmt.Errorf("starting the service: %w", err)
	}
	// A context of its own: the service is stopped in its turn, not by Ctrl-C.
	var running context.Context
	running, s.stopService = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(s.stopped)
		s.serviceErr = s.service.Run(running)
	}()
	joined := func() bool { return s.service.Sources().Consumer().Joined }
	if err := s.wait(ctx, joinBudget, joined); err != nil {
		return fmt.Errorf("joining the consumer group: %w", err)
	}
	return nil
}

var errBudget = errors.New("it took too long")

// wait returns when the condition holds: nil; or ctx ends, the budget is used up, or the service ends: an error.
func (s *cluster) wait(ctx context.Context, budget time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, budget, errBudget)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.stopped:
			return s.endedEarly()
		case <-tick.C:
		}
	}
	return nil
}

// endedEarly is the error for a service that ended before it was told to. The service must have ended.
func (s *cluster) endedEarly() error {
	return fmt.Errorf("the service ended by itself: %w", errors.Join(s.serviceErr, errors.New("its log says more")))
}

// stop drains the service and ends it.
func (s *cluster) stop() error {
	if s.service == nil {
		return nil
	}
	s.stopService()
	<-s.stopped
	s.service = nil
	if s.serviceErr != nil {
		return fmt.Errorf("stopping the service: %w", s.serviceErr)
	}
	return nil
}

// close ends everything. The folder is removed unless it is to be kept.
func (s *cluster) close(keepFolder bool) error {
	err := s.stop()
	if s.sim != nil {
		err = errors.Join(err, s.sim.Close())
	}
	if s.kafka != nil {
		s.kafka.Close()
	}
	if s.logFile != nil {
		err = errors.Join(err, s.logFile.Close())
	}
	if s.dir != "" && !keepFolder {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
