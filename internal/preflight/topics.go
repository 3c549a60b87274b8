package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// CheckTopics is the check of the topics that run uses, and of that of replays, without which it works.
func CheckTopics(ctx context.Context, c *Cluster) ([]finding.Finding, error) {
	cfg := c.cfg
	return c.ask(ctx, func(client *kafkawire.Client) ([]finding.Finding, error) {
		var findings []finding.Finding
		names := append([]string{cfg.Topics.Requests, cfg.Topics.Results, cfg.Topics.DeadLetters}, cfg.Results.ReplyTopics...)
		all := append(slices.Clone(names), cfg.Topics.Replays)
		allowed, err := inspect.TopicOperations(ctx, client, all)
		if err != nil {
			return nil, err
		}
		topics, failed, err := client.DescribeTopics(ctx, all, topicConfigs...)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			operation := "Write"
			if name == cfg.Topics.Requests {
				operation = "Read"
			}
			operations, known := allowed[name]
			switch err := failed[name]; {
			case known && !operations.Allow(operation):
				findings = append(findings, lacksTopic(cfg.Kafka, operation, name))
				delete(topics, name)
			case errors.Is(err, kafkawire.ErrNoTopic):
				f := NoTopic(cfg.Kafka, name)
				if slices.Contains(cfg.Results.ReplyTopics, name) {
					f.Fix += "; or remove it from results.reply-topics"
				}
				findings = append(findings, f)
			case kafkawire.Forbidden(err):
				findings = append(findings, uncheckedTopic(cfg.Kafka, name))
				delete(topics, name)
			case err != nil:
				return nil, err
			}
		}
		// Replays and skips need this one: a group that has had none of them works without it. Who needs it at night
		// should not have to make it first.
		name := cfg.Topics.Replays
		operations, known := allowed[name]
		switch err := failed[name]; {
		case known && !operations.Allow("Read"):
			findings = append(findings, merely(lacksTopic(cfg.Kafka, "Read", name), "what balanceq skip decides is not found"))
			delete(topics, name)
		case errors.Is(err, kafkawire.ErrNoTopic):
			findings = append(findings, merely(NoTopic(cfg.Kafka, name), "dead letters cannot be replayed, nor batches skipped"))
		case kafkawire.Forbidden(err):
			findings = append(findings, uncheckedTopic(cfg.Kafka, name))
			delete(topics, name)
		case err != nil:
			delete(topics, name)
		}
		return orSeen(append(findings, checkTopicSettings(cfg, topics)...), "%s", strings.Join(all, ", ")), nil
	})
}

func uncheckedTopic(k config.Kafka, name string) finding.Finding {
	return merely(lacksTopic(k, "DescribeConfigs", name), "its settings are not checked")
}

// NoTopic is the finding that the brokers know no topic of that name. They say the same of one that a client may not
// describe.
func NoTopic(k config.Kafka, name string) finding.Finding {
	lacks := lacksTopic(k, "Describe", name)
	return finding.Finding{Severity: finding.Fail,
		What: fmt.Sprintf("topic %s does not exist, or the brokers do not let this client see it", name),
		Fix:  "create it with: balanceq topics create; or, if it exists, " + lacks.Fix}
}
