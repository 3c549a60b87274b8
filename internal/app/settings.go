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

func processorConfig(cfg config.Config, progress func(int64) processor.Progress) processor.Config {
	return processor.Config{
		MaxAttempts: cfg.CMS.MaxAttempts, BackoffInitial: cfg.CMS.Backoff.Initial, BackoffMax: cfg.CMS.Backoff.Max,
		Coalesce: cfg.CMS.Coalesce, PublishFailures: cfg.Results.PublishFailures,
		RefuseCardNumbers: cfg.Requests.RefuseCardNumbers,
		Progress:          progress,
		Budget:            processor.BudgetConfig{Share: cfg.DeadLetters.Budget, Window: cfg.DeadLetters.BudgetWindow},
	}
}

func consumerConfig(cfg config.Config) consumer.Config {
	return consumer.Config{
		Topic: cfg.Topics.Requests, Group: cfg.Kafka.Group, Start: consumer.Start(connect.Start(cfg.Kafka.Start, time.Now())),
		MaxInFlight: cfg.CMS.MaxInFlight, RunAhead: cfg.Consumer.RunAhead, FetchBytes: int(cfg.Consumer.FetchBytes),
		CommitInterval: cfg.Consumer.CommitInterval, DrainTimeout: drainTimeout(cfg),
	}
}

// drainTimeout is how long partitions may take to finish: one call to the CMS and a little, but within the shutdown
// budget, and well before the group would throw the instance out.
func drainTimeout(cfg config.Config) time.Duration {
	budget := cfg.Shutdown.Timeout - flushTimeout
	return max(time.Second, min(budget, cfg.CMS.Timeout+5*time.Second, cfg.Kafka.RebalanceTimeout/2))
}
