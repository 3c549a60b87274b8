package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/rs/zerolog"
)

// Finding is something that a check found, and what to do about it.
type Finding struct {
	Problem string
	Fix     string
	Fatal   bool // the service cannot work like this
	passing bool // it may be over by itself in a while
}

func (f Finding) String() string { return f.Problem + "; " + f.Fix }

// Report is what a check saw, in a line, and what it found.
type Report struct {
	Seen     string
	Findings []Finding
}

// Check is one thing to look at in the cluster. It changes nothing, and its error says that the cluster could not be asked.
type Check func(ctx context.Context, cfg config.Config, log zerolog.Logger) (Report, error)

const (
	kafkaPatience = 30 * time.Second // a cluster that is starting beside us gets this long, and a group to become free
	kafkaPause    = time.Second
	dialPatience  = 3 * time.Second
)

// Run checks brokers, topics, group, transactions and the CMS's address before the service joins the group. Warnings are
// logged; the error joins everything that would keep it from working.
func Run(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	brokers, err := CheckBrokers(ctx, cfg, log)
	if err != nil {
		return err
	}
	if err := judge(brokers.Findings, log); err != nil {
		return err // they would cut the connection at what the other checks ask
	}
	topics, err := CheckTopics(ctx, cfg, log)
	if err != nil {
		return err
	}
	transactions, err := settled(ctx, cfg, log, CheckTransactions)
	if err != nil {
		return err
	}
	group, err := settled(ctx, cfg, log, CheckGroup)
	if err != nil {
		return err
	}
	return judge(slices.Concat(topics, transactions.Findings, group.Findings, checkCMS(ctx, cfg)), log)
}

// judge logs the warnings and joins the others.
func judge(findings []Finding, log zerolog.Logger) error {
	var fatal []error
	for _, f := range findings {
		if f.Fatal {
			fatal = append(fatal, errors.New(f.String()))
		} else {
			log.Warn().Str("event", "preflight_warning").Str("fix", f.Fix).Msg(f.Problem)
		}
	}
	return errors.Join(fatal...)
}

// settled makes a check anew, for some time, while it finds what may be over by itself.
func settled(ctx context.Context, cfg config.Config, log zerolog.Logger, check Check) (Report, error) {
	said := false
	for deadline := time.Now().Add(kafkaPatience); ; {
		report, err := check(ctx, cfg, log)
		at := slices.IndexFunc(report.Findings, func(f Finding) bool { return f.passing })
		if err != nil || at < 0 || time.Now().After(deadline) {
			return report, err
		}
		if !said {
			said = true
			log.Warn().Str("event", "preflight_waiting").Str("fix", report.Findings[at].Fix).
				Int64("limit_ms", kafkaPatience.Milliseconds()).Msg("waiting: " + report.Findings[at].Problem)
		}
		if !wait.Sleep(ctx, kafkaPause) {
			return report, nil
		}
	}
}

// askKafka asks the cluster by a client of its own, and waits for one that cannot be reached yet.
func askKafka[T any](
	ctx context.Context, cfg config.Config, log zerolog.Logger, ask func(*kafkawire.Client) (T, error),
) (none T, _ error) {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return none, err
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	brokers := strings.Join(settings.Brokers, ",")
	for deadline := time.Now().Add(kafkaPatience); ; {
		answer, err := ask(client)
		if err == nil {
			return answer, nil
		}
		if !kafkawire.Transient(err) || time.Now().After(deadline) || !wait.Sleep(ctx, kafkaPause) {
			return none, fmt.Errorf("asking Kafka at %s: %w; %s", brokers, err, KafkaFix(err))
		}
		client.Reset()
		log.Warn().Str("event", "kafka_unreachable").Err(err).Strs("brokers", settings.Brokers).Str("fix", KafkaFix(err)).Msg("waiting for Kafka")
	}
}

// KafkaFix is what to do about an error of asking the cluster for something.
func KafkaFix(err error) string {
	var advertised *kafkawire.AdvertisedError
	switch {
	case errors.As(err, &advertised):
		return fmt.Sprintf("correct advertised.listeners of the broker, so that clients can resolve and reach it, "+
			"or open the way from here to %s; kafka.brokers itself is right", advertised.Address)
	case kafkawire.LoginRefused(err):
		return "check kafka.sasl.mechanism, kafka.sasl.username and the password"
	case kafkawire.NoCoordinator(err):
		return "with fewer than 3 brokers, lower their offsets.topic.replication.factor, " +
			"transaction.state.log.replication.factor and transaction.state.log.min.isr"
	}
	return "check kafka.brokers (and kafka.tls, kafka.sasl), or start the cluster"
}

// lacksACL is the finding that the brokers do not allow us something. kind is that of kafka-acls.sh's flags.
func lacksACL(k config.Kafka, operation, kind, name string) Finding {
	who := "User:ANONYMOUS" // which is what brokers call whoever does not say who it is
	switch {
	case k.SASL.Mechanism != config.SASLNone:
		who = "User:" + k.SASL.Username
	case k.TLS.Enabled && k.TLS.CertFile != "":
		who = "User:<subject of kafka.tls.cert-file>"
	}
	return Finding{Fatal: true,
		Problem: fmt.Sprintf("the brokers do not allow %s the operation %s on %s %s", who, operation, kind, name),
		Fix: fmt.Sprintf("add the ACL: kafka-acls.sh --bootstrap-server %s --add --allow-principal '%s' --operation %s --%s %s",
			k.Brokers[0], who, operation, kind, name),
	}
}

// checkCMS tries the CMS's address, or that of the proxy on the way there. A CMS that is down is no reason not to start:
// the breaker waits for it.
func checkCMS(ctx context.Context, cfg config.Config) []Finding {
	hop, err := connect.FirstHop(cfg.CMS)
	if err != nil {
		return []Finding{{Fatal: true, Problem: err.Error(), Fix: "correct cms.url or the proxy's address"}}
	}
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hop.Address())
	if err != nil {
		what := "the CMS"
		if hop.Proxy {
			what = "the proxy on the way to the CMS"
		}
		return []Finding{{
			Problem: fmt.Sprintf("%s at %s cannot be reached at the moment: %v", what, hop.Address(), err),
			Fix:     hop.Fix() + ", unless it is known to be down: requests wait until the CMS answers",
		}}
	}
	_ = conn.Close() // only whether it opens matters
	return nil
}
