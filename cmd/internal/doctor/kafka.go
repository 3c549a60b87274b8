package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"balanceq/cmd/internal/config"
	"balanceq/cmd/internal/service"
	"balanceq/kafkawire"

	"github.com/rs/zerolog"
)

// checkKafka asks the cluster once, about any topic: unlike at the start of run, a cluster that cannot be reached is not
// waited for, and its error is shown as it is.
func checkKafka(ctx context.Context, cfg config.Config) Finding {
	settings, err := service.KafkaSettings(cfg)
	if err != nil {
		return fail(err.Error(), "correct kafka.tls and kafka.sasl")
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	brokers := strings.Join(settings.Brokers, ",")
	if _, err := client.DescribeTopic(ctx, cfg.Topics.Requests); err != nil && !errors.Is(err, kafkawire.ErrNoTopic) {
		return fail(fmt.Sprintf("asking Kafka at %s: %v", brokers, err),
			"check kafka.brokers, kafka.tls and kafka.sasl, and that the cluster runs")
	}
	return ok(brokers + " answers")
}

func checkTopics(ctx context.Context, cfg config.Config) Finding {
	found, err := service.CheckTopics(ctx, cfg, zerolog.Nop())
	if err != nil {
		return fail(err.Error(), "check that this user may describe the topics, and that the cluster is healthy")
	}
	if len(found) == 0 {
		return ok(strings.Join([]string{cfg.Topics.Requests, cfg.Topics.Results, cfg.Topics.DeadLetters}, ", "))
	}
	var findings []Finding
	for _, f := range found {
		status := Warn
		if f.Fatal {
			status = Fail
		}
		findings = append(findings, Finding{status, f.Problem, f.Fix})
	}
	return merge(findings...)
}
