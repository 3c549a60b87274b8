package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// Check is one thing to look at in the cluster. It finds something at any rate: what it saw, where nothing is wrong. It
// changes nothing, and its error, a *finding.Error, says that the cluster could not be asked.
type Check func(ctx context.Context, cfg config.Config, log zerolog.Logger) ([]finding.Finding, error)

const (
	kafkaTimeout = 30 * time.Second // a cluster that is starting too gets this long, and a group to become free
	kafkaPause   = time.Second
	dialTimeout  = 3 * time.Second
)

// Run checks brokers, topics, group, transactions and the CMS's address before the service joins the group. Warnings
// are logged; the error, a *finding.Error, is everything that would prevent it from working.
func Run(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	found, err := CheckBrokers(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := report(found, log); err != nil {
		return err // they would cut the connection at what the other checks ask
	}
	found, err = CheckTopics(ctx, cfg, log)
	if err != nil {
		return err
	}
	for _, check := range []Check{CheckTransactions, CheckGroup} {
		more, err := repeat(ctx, cfg, log, check)
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	return report(append(found, checkCMS(ctx, cfg)...), log)
}

// report logs the warnings and joins what is worse.
func report(found []finding.Finding, log zerolog.Logger) error {
	var failures []finding.Finding
	for _, f := range found {
		switch f.Severity {
		case finding.Fail:
			failures = append(failures, f)
		case finding.Warn:
			log.Warn().Str("event", "preflight_warning").Str("fix", f.Remedy()).Msg(f.Text())
		case finding.OK:
		}
	}
	return finding.Join(failures...)
}

// orSeen is what was found, and what was seen where that is nothing.
func orSeen(found []finding.Finding, format string, args ...any) []finding.Finding {
	if len(found) > 0 {
		return found
	}
	return []finding.Finding{{What: fmt.Sprintf(format, args...)}}
}

// repeat makes a check again, for some time, while it finds what may be over by itself.
func repeat(
	ctx context.Context, cfg config.Config, log zerolog.Logger, check Check,
) ([]finding.Finding, error) {
	told := false
	for deadline := time.Now().Add(kafkaTimeout); ; {
		found, err := check(ctx, cfg, log)
		at := slices.IndexFunc(found, func(f finding.Finding) bool { return f.Passing })
		if err != nil || at < 0 || time.Now().After(deadline) {
			return found, err
		}
		if !told {
			told = true
			log.Warn().Str("event", "preflight_waiting").Str("fix", found[at].Remedy()).
				Int64("limit_ms", kafkaTimeout.Milliseconds()).Msg("waiting: " + found[at].Text())
		}
		if !wait.Sleep(ctx, kafkaPause) {
			return found, nil
		}
	}
}

// askKafka asks the cluster by a client of its own, and waits for one that cannot be reached yet.
func askKafka(
	ctx context.Context, cfg config.Config, log zerolog.Logger,
	ask func(*kafkawire.Client) ([]finding.Finding, error),
) ([]finding.Finding, error) {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return nil, err
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	for deadline := time.Now().Add(kafkaTimeout); ; {
		found, err := ask(client)
		if err == nil {
			return found, nil
		}
		if !kafkawire.Transient(err) || time.Now().After(deadline) || !wait.Sleep(ctx, kafkaPause) {
			return nil, Unasked(cfg.Kafka, err)
		}
		client.Reset()
		log.Warn().Str("event", "kafka_unreachable").Err(err).Strs("brokers", settings.Brokers).
			Str("fix", KafkaFix(err)).Msg("waiting for Kafka")
	}
}

// Unasked is the finding that the cluster could not be asked for something.
func Unasked(k config.Kafka, err error) error {
	return &finding.Error{Err: err, Findings: []finding.Finding{{
		What: fmt.Sprintf("asking Kafka at %s: %v", strings.Join(k.Brokers, ","), err), Fix: KafkaFix(err),
		Severity: finding.Fail,
	}}}
}

// KafkaFix is what to do about an error of asking the cluster for something.
func KafkaFix(err error) string {
	if advertised, ok := errors.AsType[*kafkawire.AdvertisedError](err); ok {
		return fmt.Sprintf("correct advertised.listeners of the broker, so that clients can resolve and reach it, "+
			"or open the way from here to %s; kafka.brokers itself is right", advertised.Address)
	}
	switch {
	case kafkawire.LoginRefused(err):
		return "check kafka.sasl.mechanism, kafka.sasl.username and the password"
	case kafkawire.NoCoordinator(err):
		return "with fewer than 3 brokers, lower their offsets.topic.replication.factor, " +
			"transaction.state.log.replication.factor and transaction.state.log.min.isr"
	}
	return "check kafka.brokers (and kafka.tls, kafka.sasl), or start the cluster"
}
