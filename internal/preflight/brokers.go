package preflight

import (
	"context"
	"fmt"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"

	"github.com/rs/zerolog"
)

// CheckBrokers looks whether every broker takes the requests of this configuration, in our versions: a broker cuts the
// connection at those that it does not know, and says nothing. Its error says that the cluster could not be asked.
func CheckBrokers(ctx context.Context, cfg config.Config, log zerolog.Logger) (Report, error) {
	return askKafka(ctx, cfg, log, func(client *kafkawire.Client) (Report, error) {
		var uses []inspect.Use
		if cfg.Kafka.GroupProtocol != config.GroupConsumer {
			uses = append(uses, inspect.ClassicMember)
		}
		if cfg.Delivery == config.DeliveryExactlyOnce {
			uses = append(uses, inspect.Transactions)
		}
		brokers, err := inspect.Brokers(ctx, client, inspect.APIs(uses...))
		if err != nil {
			return Report{}, err
		}
		report := Report{Findings: judgeBrokers(brokers)}
		for _, f := range report.Findings {
			if f.Fatal {
				return report, nil // a broker as old as this cannot say what else it offers
			}
		}
		offered, err := client.OffersConsumerProtocol(ctx)
		if err != nil {
			return Report{}, err
		}
		report.Seen = fmt.Sprintf("%s; group protocols: %s", count(len(brokers), "broker"), config.GroupClassic)
		if offered {
			report.Seen += ", " + config.GroupConsumer
		} else if cfg.Kafka.GroupProtocol == config.GroupConsumer {
			report.Findings = append(report.Findings, Finding{Fatal: true,
				Problem: "kafka.group-protocol is consumer, and the cluster does not offer that protocol",
				Fix: "set kafka.group-protocol to auto or classic; Kafka 4.0 and later offer it once their feature is on: " +
					"kafka-features.sh upgrade --feature group.version=1",
			})
		}
		return report, nil
	})
}

// judgeBrokers makes a finding of each broker that refuses something or cannot be asked.
func judgeBrokers(brokers []inspect.Broker) []Finding {
	var findings []Finding
	for _, b := range brokers {
		switch {
		case b.Err != nil:
			findings = append(findings, Finding{
				Problem: fmt.Sprintf("broker %d at %s does not answer at the moment: %v", b.ID, b.Address, b.Err),
				Fix:     "check that this address (advertised.listeners) can be reached from here, and the broker's log",
			})
		case len(b.Refusals) > 0:
			findings = append(findings, refuses(b))
		}
	}
	return findings
}

func refuses(b inspect.Broker) Finding {
	var texts []string
	var oldest inspect.Release
	tooNew := false
	for _, r := range b.Refusals {
		texts = append(texts, r.String())
		tooNew = tooNew || r.TooNew()
		if r.Kafka.Compare(oldest) > 0 {
			oldest = r.Kafka
		}
	}
	fix := fmt.Sprintf("upgrade the brokers to Kafka %s or later", oldest)
	if tooNew {
		fix = "use a newer release of balanceq, or older brokers: docs/COMPATIBILITY.md says which ones it is tested with"
	}
	return Finding{Fatal: true, Fix: fix, Problem: fmt.Sprintf("broker %d at %s does not take our requests: %s",
		b.ID, b.Address, strings.Join(texts, ", "))}
}

// count is a number of things: "1 broker", "2 brokers".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
