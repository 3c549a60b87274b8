package preflight

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// Cluster is what checks look at: the cluster of a configuration. They share its connections, as to make one takes
// longer than most answers.
type Cluster struct {
	cfg    config.Config
	log    zerolog.Logger
	within time.Duration
	client *kafkawire.Client
}

// Open does not connect yet. A cluster that cannot be reached is waited for as long as within says. It must be closed.
func Open(cfg config.Config, log zerolog.Logger, within time.Duration) (*Cluster, error) {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return nil, err
	}
	t := cfg.Topics
	topics := append([]string{t.Requests, t.Results, t.DeadLetters, t.Replays}, cfg.Results.ReplyTopics...)
	return &Cluster{cfg: cfg, log: log, within: within, client: kafkawire.NewClient(settings, topics...)}, nil
}

// Close ends the connections.
func (c *Cluster) Close() { c.client.Close() }

// ask asks the cluster, and waits for one that cannot be reached yet.
func (c *Cluster) ask(
	ctx context.Context, ask func(*kafkawire.Client) ([]finding.Finding, error),
) ([]finding.Finding, error) {
	for deadline := time.Now().Add(c.within); ; {
		found, err := ask(c.client)
		if err == nil {
			return found, nil
		}
		if !kafkawire.Transient(err) || time.Now().After(deadline) || !wait.Sleep(ctx, kafkaPause) {
			return nil, Unasked(c.cfg.Kafka, err)
		}
		c.client.Reset()
		c.log.Warn().Str("event", "kafka_unreachable").Err(err).Strs("brokers", c.cfg.Kafka.Brokers).
			Str("fix", KafkaFix(err)).Msg("waiting for Kafka")
	}
}

// Unasked is the finding that the cluster could not be asked for something.
func Unasked(k config.Kafka, err error) error {
	return &finding.Error{Err: err, Findings: []finding.Finding{{
		What: fmt.Sprintf("asking Kafka at %s: %v", strings.Join(k.Brokers, ","), err), Fix: KafkaFix(err),
		Severity: finding.Fail,
	}}}
}
