package app

import (
	"fmt"
	"time"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/processor"
)

// KafkaSettings turns the configuration into connection settings; it reads the TLS files.
func KafkaSettings(cfg config.Config) (kafkawire.Settings, error) {
	k := cfg.Kafka
	s := kafkawire.Settings{Brokers: k.Brokers, ClientID: k.ClientID}
	var err error
	if k.TLS.Enabled {
		if s.TLS, err = (kafkawire.TLSFiles{CA: k.TLS.CAFile, Cert: k.TLS.CertFile, Key: k.TLS.KeyFile}).Load(); err != nil {
			return s, err
		}
	}
	if s.SASL, err = kafkawire.SASL(k.SASL.Mechanism, k.SASL.Username, k.SASL.Password.Reveal()); err != nil {
		return s, fmt.Errorf("preparing the Kafka login: %w", err)
	}
	return s, nil
}

func memberConfig(cfg config.Config) consumer.MemberConfig {
	return consumer.MemberConfig{
		Group: cfg.Kafka.Group, Topic: cfg.Topics.Requests, RebalanceTimeout: cfg.Kafka.RebalanceTimeout,
		InstanceID: cfg.Kafka.InstanceID, LeaveOnStop: cfg.Kafka.LeaveOnStop,
	}
}

func processorConfig(cfg config.Config) processor.Config {
	return processor.Config{
		MaxAttempts: cfg.CMS.MaxAttempts, BackoffInitial: cfg.CMS.Backoff.Initial, BackoffMax: cfg.CMS.Backoff.Max,
		Coalesce: cfg.CMS.Coalesce, PublishFailures: cfg.Results.PublishFailures, RefuseCardNumbers: cfg.Requests.RefuseCardNumbers,
		Budget: processor.BudgetConfig{Share: cfg.DeadLetters.Budget, Window: cfg.DeadLetters.BudgetWindow},
	}
}

func consumerConfig(cfg config.Config) consumer.Config {
	return consumer.Config{
		Topic: cfg.Topics.Requests, Group: cfg.Kafka.Group, Start: start(cfg.Kafka.Start, time.Now()),
		MaxInFlight: cfg.CMS.MaxInFlight, RunAhead: cfg.Consumer.RunAhead, FetchBytes: int(cfg.Consumer.FetchBytes),
		CommitInterval: cfg.Consumer.CommitInterval, DrainTimeout: drainTimeout(cfg),
	}
}

// start is kafka.start as the consumer has it; an age counts from now.
func start(text string, now time.Time) consumer.Start {
	switch text {
	case config.StartEarliest:
		return consumer.Earliest
	case config.StartLatest:
		return consumer.Latest
	}
	at, err := config.ParseStart(text, now)
	if err != nil { // cannot be: it has been validated
		return consumer.Earliest
	}
	return consumer.Start(at.UnixMilli())
}

// drainTimeout is how long partitions may take to finish: one call to the CMS and a little, but within the shutdown
// budget, and well before the group would throw the instance out.
func drainTimeout(cfg config.Config) time.Duration {
	budget := cfg.Shutdown.Timeout - flushTimeout
	return max(time.Second, min(budget, cfg.CMS.Timeout+5*time.Second, cfg.Kafka.RebalanceTimeout/2))
}
