package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/spf13/cobra"
)

func topicsCommand(p *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "topics", Short: "Create or check the topics", Args: command.UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(topicsCreate(p), topicsCheck(p))
	return cmd
}

// requestMaxBytes is the limit that requests get: a request of schemas.MaxRequestSize with key and headers.
const requestMaxBytes = 1<<20 + 64<<10

func topicsCreate(p *command.Env) *cobra.Command {
	partitions, replication := 0, 0
	cmd := command.WithConfig(&cobra.Command{
		Use: "create", Short: "Create the topics that do not exist yet", Args: command.NoArguments,
		Long: `Creates the topics for requests, results, dead letters and replays where they do not exist yet; existing ones
are left as they are. That of replays has one partition and keeps its records for ever: they say what not to replay again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.Load(cmd)
			if err != nil {
				return err
			}
			if partitions < 1 {
				return command.WrongUsage(fmt.Errorf("--partitions: %d partitions; give at least 1", partitions))
			}
			return createTopics(p, cmd, loaded.Config, partitions, replication)
		},
	})
	cmd.Flags().IntVar(&partitions, "partitions", 12, "partitions of each topic but that of replays; they bound the number of instances")
	cmd.Flags().IntVar(&replication, "replication", -1, "copies of each partition; -1 takes the cluster's default")
	return cmd
}

func createTopics(p *command.Env, cmd *cobra.Command, cfg config.Config, partitions, replication int) error {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return err
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	common, err := commonConfigs(cmd.Context(), client, replication)
	if err != nil {
		return err
	}
	limit := func(bytes int) map[string]string { return map[string]string{"max.message.bytes": strconv.Itoa(bytes)} }
	for _, t := range []kafkawire.Topic{
		{Name: cfg.Topics.Requests, Partitions: partitions, Configs: limit(requestMaxBytes)},
		{Name: cfg.Topics.Results, Partitions: partitions, Configs: limit(requestMaxBytes + preflight.OutcomeHeadroom)},
		{Name: cfg.Topics.DeadLetters, Partitions: partitions, Configs: limit(requestMaxBytes + preflight.OutcomeHeadroom)},
		{Name: cfg.Topics.Replays, Partitions: 1, Configs: map[string]string{"retention.ms": "-1"}}, // one partition: one order
	} {
		t.ReplicationFactor = replication
		maps.Copy(t.Configs, common)
		existed, err := client.CreateTopic(cmd.Context(), t)
		if err != nil {
			return err
		}
		done := "created with " + term.Count(int64(t.Partitions), "partition")
		if existed {
			done = "exists, left as it is"
		}
		if _, err := fmt.Fprintf(p.Out, "%s: %s\n", t.Name, done); err != nil {
			return err
		}
	}
	return nil
}

// commonConfigs are what every topic gets whatever the cluster's defaults are: no record goes because of another one's key, and
// with three replicas or more a write is on two.
func commonConfigs(ctx context.Context, client *kafkawire.Client, replication int) (map[string]string, error) {
	const byDefault = "default.replication.factor"
	configs := map[string]string{"cleanup.policy": "delete"}
	if replication < 0 {
		defaults, err := client.BrokerConfigs(ctx, byDefault)
		if err != nil {
			return nil, err
		}
		brokers, err := client.Brokers(ctx, nil)
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

func topicsCheck(p *command.Env) *cobra.Command {
	return command.WithConfig(&cobra.Command{
		Use: "check", Short: "Check that the topics exist and fit together", Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.Load(cmd)
			if err != nil {
				return err
			}
			log, err := p.Logger(loaded)
			if err != nil {
				return err
			}
			findings, err := preflight.CheckTopics(cmd.Context(), loaded.Config, log)
			if err != nil {
				return err
			}
			if len(findings) == 0 {
				_, err := fmt.Fprintln(p.Out, "the topics are good")
				return err
			}
			var all []error
			for _, f := range findings {
				all = append(all, errors.New(f.String()))
			}
			return errors.Join(all...)
		},
	})
}
