package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

func topicsCommand(e *command.Env) *cobra.Command {
	return command.Family("topics", "Create or check the topics", topicsCreate(e), topicsCheck(e))
}

// requestMaxBytes is the limit that requests get: a request of schemas.MaxRequestSize with key and headers.
const requestMaxBytes = 1<<20 + 64<<10

func topicsCreate(e *command.Env) *cobra.Command {
	partitions, replication := 0, 0
	cmd := e.Configured(&cobra.Command{
		Use: "create", Short: "Create the topics that do not exist yet", Args: command.NoArguments,
		Long: `Creates the topics for requests, results, dead letters and replays where they do not exist yet; existing ones
are left as they are. topics.replays gets one partition and keeps its records for ever: they say what not to replay again.`,
	}, func(ctx context.Context, c *command.Call) error {
		if partitions < 1 {
			return command.WrongUsage(fmt.Errorf("--partitions: %d partitions; give at least 1", partitions))
		}
		return createTopics(ctx, c, partitions, replication)
	})
	cmd.Flags().IntVar(&partitions, "partitions", 12,
		"partitions of each topic except topics.replays; they bound the number of instances")
	cmd.Flags().IntVar(&replication, "replication", -1, "copies of each partition; -1 takes the cluster's default")
	return cmd
}

func createTopics(ctx context.Context, c *command.Call, partitions, replication int) error {
	settings, err := connect.Kafka(c.Config)
	if err != nil {
		return err
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	limited, cancel := context.WithTimeout(ctx, command.ReachTimeout)
	defer cancel()
	common, err := commonConfigs(limited, client, replication)
	if err != nil {
		return preflight.Unasked(c.Config.Kafka, err)
	}
	limit := func(bytes int) map[string]string { return map[string]string{"max.message.bytes": strconv.Itoa(bytes)} }
	topics := c.Config.Topics
	for _, t := range []kafkawire.Topic{
		{Name: topics.Requests, Partitions: partitions, Configs: limit(requestMaxBytes)},
		{Name: topics.Results, Partitions: partitions, Configs: limit(requestMaxBytes + preflight.OutcomeHeadroom)},
		{Name: topics.DeadLetters, Partitions: partitions, Configs: limit(requestMaxBytes + preflight.OutcomeHeadroom)},
		{Name: topics.Replays, Partitions: 1, Configs: map[string]string{"retention.ms": "-1"}}, // one partition: one order
	} {
		t.ReplicationFactor = replication
		maps.Copy(t.Configs, common)
		existed, err := client.CreateTopic(limited, t)
		if err != nil {
			return preflight.Unasked(c.Config.Kafka, err)
		}
		done := "created with " + term.Count(int64(t.Partitions), "partition")
		if existed {
			done = "exists, left as it is"
		}
		if _, err := fmt.Fprintf(c.Out, "%s: %s\n", t.Name, done); err != nil {
			return err
		}
	}
	return nil
}

// commonConfigs are what every topic gets whatever the cluster's defaults are: no record goes because of another one's
// key, and with three replicas or more a write is on two.
func commonConfigs(ctx context.Context, client *kafkawire.Client, replication int) (map[string]string, error) {
	const byDefault = "default.replication.factor"
	configs := map[string]string{"cleanup.policy": "delete"}
	if replication < 0 {
		defaults, err := inspect.BrokerConfigs(ctx, client, byDefault)
		if err != nil {
			return nil, err
		}
		brokers, err := inspect.Brokers(ctx, client, nil)
		if err != nil {
			return nil, err
		}
		if n, err := strconv.Atoi(defaults[byDefault]); err == nil { // else the brokers do not show it: topics check tells
			replication = min(n, len(brokers))
		}
	}
	if replication >= 3 {
		configs["min.insync.replicas"] = "2"
	}
	return configs, nil
}

func topicsCheck(e *command.Env) *cobra.Command {
	return e.Configured(&cobra.Command{
		Use: "check", Short: "Check that the topics exist and fit together", Args: command.NoArguments,
	}, func(ctx context.Context, c *command.Call) error {
		found, err := preflight.CheckTopics(ctx, c.Config, c.Log)
		if err != nil {
			return err
		}
		found = slices.DeleteFunc(found, func(f finding.Finding) bool { return f.Severity == finding.OK })
		if len(found) == 0 {
			_, err = fmt.Fprintln(c.Out, "the topics are good")
		}
		return errors.Join(finding.Join(found...), err)
	})
}
