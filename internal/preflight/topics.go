package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// CheckTopics is the check of the topics that run uses, and of that of replays where there is one.
func CheckTopics(ctx context.Context, cfg config.Config, log zerolog.Logger) ([]finding.Finding, error) {
	return askKafka(ctx, cfg, log, func(client *kafkawire.Client) ([]finding.Finding, error) {
		var findings []finding.Finding
		topics := map[string]kafkawire.Topic{}
		names := []string{cfg.Topics.Requests, cfg.Topics.Results, cfg.Topics.DeadLetters}
		allowed, err := inspect.TopicOperations(ctx, client, append(slices.Clone(names), cfg.Topics.Replays))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			operation, may := "Write", inspect.Operations.AllowWrite
			if name == cfg.Topics.Requests {
				operation, may = "Read", inspect.Operations.AllowRead
			}
			if operations, known := allowed[name]; known && !may(operations) {
				findings = append(findings, lacksACL(cfg.Kafka, operation, "topic", name))
				continue
			}
			t, err := client.DescribeTopic(ctx, name, topicConfigs...)
			switch {
			case errors.Is(err, kafkawire.ErrNoTopic):
				findings = append(findings, NoTopic(cfg.Kafka, name))
			case err == nil:
				topics[name] = t
			case kafkawire.Forbidden(err):
				f := lacksACL(cfg.Kafka, "DescribeConfigs", "topic", name)
				f.Severity, f.What = finding.Warn, f.What+": its settings are not checked"
				findings = append(findings, f)
			default:
				return nil, err
			}
		}
		// Replays and skips need this one: a group that has had none of them works without it.
		if operations, known := allowed[cfg.Topics.Replays]; known && !operations.AllowRead() {
			f := lacksACL(cfg.Kafka, "Read", "topic", cfg.Topics.Replays)
			f.Severity, f.What = finding.Warn, f.What+": what balanceq skip decides is not found"
			findings = append(findings, f)
		}
		if t, err := client.DescribeTopic(ctx, cfg.Topics.Replays, topicConfigs...); err == nil {
			topics[cfg.Topics.Replays] = t
		}
		return orSeen(append(findings, checkTopicSettings(cfg, topics)...), "%s", strings.Join(names, ", ")), nil
	})
}

// NoTopic is the finding that the brokers know no topic of that name. They say the same of one that a client may not
// describe.
func NoTopic(k config.Kafka, name string) finding.Finding {
	lacks := lacksACL(k, "Describe", "topic", name)
	return finding.Finding{Severity: finding.Fail,
		What: fmt.Sprintf("topic %s does not exist, or the brokers do not let this client see it", name),
		Fix:  "create it with: balanceq topics create; or, if it exists, " + lacks.Fix}
}
