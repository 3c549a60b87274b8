package doctor

import (
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// checkKafka asks the cluster once, what brokers of any age answer: unlike at the start of run, a cluster that cannot
// be reached is not waited for, and its error is shown as it is.
func checkKafka(ctx context.Context, cfg config.Config) []finding.Finding {
	credentials := &connect.Credentials{}
	settings, err := credentials.Kafka(cfg)
	if err != nil {
		return failed(err, "correct kafka.tls and kafka.sasl")
	}
	client := kafkawire.NewClient(settings, cfg.Topics.Requests)
	defer client.Close()
	if _, err := inspect.ListBrokers(ctx, client); err != nil {
		return finding.Of(preflight.Unasked(cfg.Kafka, err))
	}
	seen := strings.Join(cfg.Kafka.Brokers, ",") + " answers"
	if token, used := credentials.Token(); used && !token.Expires.IsZero() {
		seen += "; the token is good for " + time.Until(token.Expires).Round(time.Second).String()
	}
	return ok(seen)
}

// fromRun makes a check of one that run makes at its start.
func fromRun(check preflight.Check) func(context.Context, config.Config) []finding.Finding {
	return func(ctx context.Context, cfg config.Config) []finding.Finding {
		cluster, err := preflight.Open(cfg, zerolog.Nop(), preflight.Timeout)
		if err != nil {
			return failed(err, "correct kafka.tls and kafka.sasl")
		}
		defer cluster.Close()
		found, err := check(ctx, cluster)
		if err != nil {
			return failed(err, "try again")
		}
		return found
	}
}
