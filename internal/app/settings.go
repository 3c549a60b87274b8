package app

import (
	"time"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/processor"
)

func memberConfig(cfg config.Config) group.Config {
	return group.Config{
		Group: cfg.Kafka.Group, Topic: cfg.Topics.Requests, RebalanceTimeout: cfg.Kafka.RebalanceTimeout,
		InstanceID: cfg.Kafka.InstanceID, LeaveOnStop: cfg.Kafka.LeaveOnStop,
	}
}

func (a *App) processorConfig() processor.Config {
	cfg := a.cfg
	settings := processor.Config{
		MaxAttempts: cfg.CMS.MaxAttempts, BackoffInitial: cfg.CMS.Backoff.Initial, BackoffMax: cfg.CMS.Backoff.Max,
		Coalesce: cfg.CMS.Coalesce, PublishFailures: cfg.Results.PublishFailures,
		RefuseCardNumbers: cfg.Requests.RefuseCardNumbers,
		Progress:          a.handlers.Begin,
		Budget:            processor.BudgetConfig{Share: cfg.DeadLetters.Budget, Window: cfg.DeadLetters.BudgetWindow},
		Replies: processor.Replies{Echo: cfg.Results.EchoHeaders, Results: cfg.Topics.Results,
			Topics: cfg.Results.ReplyTopics, Refused: a.metrics.ReplyRefused},
	}
	if a.exports.tracer != nil && cfg.Telemetry.Traces.DeadLetters {
		settings.FollowDeadLetter = a.exports.tracer.FollowDeadLetter
	}
	return settings
}

func consumerConfig(cfg config.Config) consumer.Config {
	return consumer.Config{
		Topic: cfg.Topics.Requests, Group: cfg.Kafka.Group, Start: consumer.Start(connect.Start(cfg.Kafka.Start, time.Now())),
		MaxInFlight: cfg.CMS.MaxInFlight, RunAhead: cfg.Consumer.RunAhead, Ahead: ahead(cfg),
		FetchBytes: int(cfg.Consumer.FetchBytes), CommitInterval: cfg.Consumer.CommitInterval,
		DrainTimeout: drainTimeout(cfg),
	}
}

// ahead is how many records may have an outcome while one before them has none. At least once, that outcome is in the
// log, and the record is 32 bytes of the tracker: 4 MiB in all. Exactly once, the outcome waits in the producer's
// buffer: as many of an ordinary size, below 1 KiB, as fit.
func ahead(cfg config.Config) int {
	if cfg.Delivery == config.DeliveryExactlyOnce {
		return int(cfg.Producer.BufferBytes >> 10)
	}
	return 1 << 17
}

// drainTimeout is how long partitions may take to finish: one call to the CMS and a little, but within the shutdown
// budget, and well before the group would throw the instance out.
func drainTimeout(cfg config.Config) time.Duration {
	budget := cfg.Shutdown.Timeout - flushTimeout
	return max(time.Second, min(budget, cfg.CMS.Timeout+5*time.Second, cfg.Kafka.RebalanceTimeout/2))
}
