package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/internal/rights"
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
		Long: `Creates the topics for requests, results, dead letters and replays, and those of results.reply-topics, where they
do not exist yet; existing ones are left as they are. topics.replays gets one partition and keeps its records for ever:
they say what not to replay again.`,
		Example: `  balanceq topics create
  balanceq topics create --config balanceq.yaml --partitions 12 --replication 3`,
	}, command.Needs(rights.Topics, func(ctx context.Context, c *command.Call) error {
		if partitions < 1 {
			return command.WrongUsage(fmt.Errorf("--partitions: %d partitions; give at least 1", partitions))
		}
		return createTopics(ctx, c, partitions, replication)
	}))
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
	topics, outcome := c.Config.Topics, limit(requestMaxBytes+preflight.OutcomeHeadroom)
	all := []kafkawire.Topic{
		{Name: topics.Requests, Partitions: partitions, Configs: limit(requestMaxBytes)},
		{Name: topics.Results, Partitions: partitions, Configs: outcome},
		{Name: topics.DeadLetters, Partitions: partitions, Configs: outcome},
		{Name: topics.Replays, Partitions: 1, Configs: map[string]string{"retention.ms": "-1"}}, // one partition: one order
	}
	for _, name := range c.Config.Results.ReplyTopics {
		all = append(all, kafkawire.Topic{Name: name, Partitions: partitions, Configs: outcome})
	}
	for _, t := range all {
		t.ReplicationFactor = replication
		maps.Copy(t.Configs, common)
		existed, err := createTopic(ctx, client, t)
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

// createTopic returns when the brokers show the topic. Of who may make it and not see it, that takes all of the time.
func createTopic(ctx context.Context, client *kafkawire.Client, t kafkawire.Topic) (existed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, command.ReachTimeout)
	defer cancel()
	return client.CreateTopic(ctx, t)
}

// commonConfigs are what every topic gets whatever the cluster's defaults are: no record goes because of another one's
// key, and with three replicas or more a write is on two.
func commonConfigs(ctx context.Context, client *kafkawire.Client, replication int) (map[string]string, error) {
	const byDefault = "default.replication.factor"
	configs := map[string]string{"cleanup.policy": "delete"}
	if replication < 0 {
		defaults, err := inspect.BrokerConfigs(ctx, client, byDefault)
		if err != nil && !kafkawire.Forbidden(err) {
			return nil, err
		}
		brokers, err := inspect.ListBrokers(ctx, client)
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
	var within time.Duration
	cmd := e.Configured(&cobra.Command{
		Use: "check", Short: "Check that the topics exist and fit together", Args: command.NoArguments,
		Long: `Checks that the topics of the configuration exist, and that their settings lose and refuse nothing. It changes nothing. A
Kafka that does not answer is an error at once; with --wait it is asked again for so long.

Exit code 0: the topics are good. 1: something is wrong, or Kafka does not answer. 2: wrong usage.`,
		Example: `  balanceq topics check --config balanceq.yaml --wait 30s`,
	}, func(ctx context.Context, c *command.Call) error {
		cluster, err := preflight.Open(c.Config, c.Log, within)
		if err != nil {
			return err
		}
		defer cluster.Close()
		found, err := preflight.CheckTopics(ctx, cluster)
		if err != nil {
			return err
		}
		found = slices.DeleteFunc(found, func(f finding.Finding) bool { return f.Severity == finding.OK })
		if len(found) == 0 {
			_, err = fmt.Fprintln(c.Out, "the topics are good")
		}
		return errors.Join(finding.Join(found...), err)
	})
	cmd.Flags().DurationVar(&within, "wait", 0, "how long to wait for a Kafka that does not answer yet, for example 30s")
	return cmd
}
