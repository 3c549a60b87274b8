package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/rs/zerolog"
)

// checkKafka asks the cluster once, about any topic: unlike at the start of run, a cluster that cannot be reached is not
// waited for, and its error is shown as it is.
func checkKafka(ctx context.Context, cfg config.Config) Finding {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return fail(err.Error(), "correct kafka.tls and kafka.sasl")
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	brokers := strings.Join(settings.Brokers, ",")
	_, err = client.DescribeTopic(ctx, cfg.Topics.Requests)
	if err != nil && !errors.Is(err, kafkawire.ErrNoTopic) && !kafkawire.Forbidden(err) {
		return fail(fmt.Sprintf("asking Kafka at %s: %v", brokers, err), preflight.KafkaFix(err))
	}
	return ok(brokers + " answers")
}

func checkTopics(ctx context.Context, cfg config.Config) Finding {
	found, err := preflight.CheckTopics(ctx, cfg, zerolog.Nop())
	seen := strings.Join([]string{cfg.Topics.Requests, cfg.Topics.Results, cfg.Topics.DeadLetters}, ", ")
	return fromPreflight(preflight.Report{Seen: seen, Findings: found}, err)
}

// fromRun makes a check of one that run makes at its start.
func fromRun(check preflight.Check) func(context.Context, config.Config) Finding {
	return func(ctx context.Context, cfg config.Config) Finding {
		return fromPreflight(check(ctx, cfg, zerolog.Nop()))
	}
}

// fromPreflight leaves out what was seen where something was found, which says more.
func fromPreflight(report preflight.Report, err error) Finding {
	if err != nil {
		problem, fix := err.Error(), "try again"
		if at := strings.LastIndex(problem, "; "); at >= 0 {
			problem, fix = problem[:at], problem[at+2:]
		}
		return fail(problem, fix)
	}
	if len(report.Findings) == 0 {
		return ok(report.Seen)
	}
	var findings []Finding
	for _, f := range report.Findings {
		status := Warn
		if f.Fatal {
			status = Fail
		}
		findings = append(findings, Finding{status, f.Problem, f.Fix})
	}
	return merge(findings...)
}
