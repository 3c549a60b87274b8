package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/kafkawire"
)

// checkKafka asks the cluster once, about any topic: unlike at the start of run, a cluster that cannot be reached is
// not waited for, and its error is shown as it is.
func checkKafka(ctx context.Context, cfg config.Config) []finding.Finding {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return failed(err, "correct kafka.tls and kafka.sasl")
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	_, err = client.DescribeTopic(ctx, cfg.Topics.Requests)
	if err != nil && !errors.Is(err, kafkawire.ErrNoTopic) && !kafkawire.Forbidden(err) {
		return finding.Of(preflight.Unasked(cfg.Kafka, err))
	}
	return ok(strings.Join(cfg.Kafka.Brokers, ",") + " answers")
}

// fromRun makes a check of one that run makes at its start.
func fromRun(check preflight.Check) func(context.Context, config.Config) []finding.Finding {
	return func(ctx context.Context, cfg config.Config) []finding.Finding {
		found, err := check(ctx, cfg, zerolog.Nop())
		if err != nil {
			return failed(err, "try again")
		}
		return found
	}
}
