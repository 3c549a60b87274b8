package service

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"balanceq/cmd/internal/config"
	"balanceq/kafkawire"

	"github.com/rs/zerolog"
)

// The brokers' names of what is compared.
const (
	configMaxMessage = "max.message.bytes"
	configMinInSync  = "min.insync.replicas"
)

// DeadLetterHeadroom is how much larger than its request a dead letter may become: its headers.
const DeadLetterHeadroom = 64 << 10

// CheckTopics looks at the three topics. Its error says that the cluster could not be asked.
func CheckTopics(ctx context.Context, cfg config.Config, log zerolog.Logger) ([]Finding, error) {
	return inspect(ctx, cfg, log, func(client *kafkawire.Client) ([]Finding, error) {
		var findings []Finding
		topics := map[string]kafkawire.Topic{}
		names := []string{cfg.Topics.Requests, cfg.Topics.Results, cfg.Topics.DeadLetters}
		allowed, err := client.TopicOperations(ctx, names)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			operation, may := "Write", kafkawire.Operations.AllowWrite
			if name == cfg.Topics.Requests {
				operation, may = "Read", kafkawire.Operations.AllowRead
			}
			if operations, known := allowed[name]; known && !may(operations) {
				findings = append(findings, lacksACL(cfg.Kafka, operation, "topic", name))
				continue
			}
			t, err := client.DescribeTopic(ctx, name, configMaxMessage, configMinInSync)
			switch {
			case errors.Is(err, kafkawire.ErrNoTopic):
				findings = append(findings, Finding{Fatal: true,
					Problem: fmt.Sprintf("topic %s does not exist", name), Fix: "create it with: balanceq topics create"})
			case err == nil:
				topics[name] = t
			case kafkawire.Forbidden(err):
				f := lacksACL(cfg.Kafka, "DescribeConfigs", "topic", name)
				f.Fatal, f.Problem = false, f.Problem+": its limits are not checked"
				findings = append(findings, f)
			default:
				return nil, err
			}
		}
		return append(findings, compareTopics(cfg, topics)...), nil
	})
}

// compareTopics looks at the settings of the topics that could be read, by name.
func compareTopics(cfg config.Config, topics map[string]kafkawire.Topic) []Finding {
	var findings []Finding
	for _, name := range []string{cfg.Topics.Results, cfg.Topics.DeadLetters} {
		t := topics[name]
		if inSync, err := strconv.Atoi(t.Configs[configMinInSync]); err == nil && inSync < 2 && t.ReplicationFactor >= 3 {
			findings = append(findings, Finding{
				Problem: fmt.Sprintf("topic %s has %d replicas and %s=%d: what a single broker has counts as written, and is lost with it",
					name, t.ReplicationFactor, configMinInSync, inSync),
				Fix: fmt.Sprintf("set %s of %s to 2", configMinInSync, name),
			})
		}
	}
	requests, okRequests := topics[cfg.Topics.Requests]
	dead, okDead := topics[cfg.Topics.DeadLetters]
	if okRequests && okDead && dead.MaxMessageBytes() > 0 && dead.MaxMessageBytes() < requests.MaxMessageBytes()+DeadLetterHeadroom {
		findings = append(findings, Finding{
			Problem: fmt.Sprintf("topic %s takes messages of %d bytes and %s of %d: "+
				"the largest requests would not fit with their dead-letter headers",
				requests.Name, requests.MaxMessageBytes(), dead.Name, dead.MaxMessageBytes()),
			Fix: fmt.Sprintf("set %s of %s to at least %d", configMaxMessage, dead.Name, requests.MaxMessageBytes()+DeadLetterHeadroom),
		})
	}
	return findings
}
