package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// CheckBrokers is the check whether every broker takes the requests of this configuration, in the versions that are
// sent: a broker cuts the connection at those that it does not know, and says nothing.
func CheckBrokers(ctx context.Context, c *Cluster) ([]finding.Finding, error) {
	cfg := c.cfg
	return c.ask(ctx, func(client *kafkawire.Client) ([]finding.Finding, error) {
		var uses []inspect.Use
		if cfg.Kafka.GroupProtocol != config.GroupConsumer {
			uses = append(uses, inspect.ClassicMember)
		}
		if cfg.Delivery == config.DeliveryExactlyOnce {
			uses = append(uses, inspect.Transactions)
		}
		brokers, err := inspect.Brokers(ctx, client, inspect.APIs(uses...))
		if err != nil {
			return nil, err
		}
		found := refusing(brokers)
		if slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Severity == finding.Fail }) {
			return found, nil // a broker as old as this cannot say what else it offers
		}
		offered, limited := false, false
		asking, ctx := errgroup.WithContext(ctx)
		asking.Go(func() (err error) {
			offered, err = client.OffersConsumerProtocol(ctx)
			return err
		})
		asking.Go(func() error {
			_, err := inspect.BrokerConfigs(ctx, client, configMaxTransaction)
			if limited = kafkawire.Forbidden(err); limited {
				return nil
			}
			return err
		})
		if err := asking.Wait(); err != nil {
			return nil, err
		}
		if limited {
			found = append(found, merely(lacks(cfg.Kafka, rights.Right{Operation: "DescribeConfigs", Kind: rights.Cluster}),
				"their limits are not checked"))
		}
		protocols := config.GroupClassic
		if offered {
			protocols += ", " + config.GroupConsumer
		} else if cfg.Kafka.GroupProtocol == config.GroupConsumer {
			found = append(found, finding.Finding{Severity: finding.Fail, Key: "kafka.group-protocol",
				What: "is consumer, and the cluster does not offer that protocol",
				Fix: "set kafka.group-protocol to auto or classic; Kafka 4.0 and later offer it once their feature is on: " +
					"kafka-features.sh upgrade --feature group.version=1",
			})
		}
		return orSeen(found, "%s; group protocols: %s", count(len(brokers), "broker"), protocols), nil
	})
}

// refusing makes a finding of each broker that refuses something or cannot be asked.
func refusing(brokers []inspect.Broker) []finding.Finding {
	var findings []finding.Finding
	for _, b := range brokers {
		switch {
		case b.Err != nil:
			findings = append(findings, finding.Finding{
				Severity: finding.Warn,
				What:     fmt.Sprintf("broker %d at %s does not answer at the moment: %v", b.ID, b.Address, b.Err),
				Fix:      "check that this address (advertised.listeners) can be reached from here, and the broker's log",
			})
		case len(b.Refusals) > 0:
			findings = append(findings, refuses(b))
		}
	}
	return findings
}

func refuses(b inspect.Broker) finding.Finding {
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
	return finding.Finding{Severity: finding.Fail, Fix: fix,
		What: fmt.Sprintf("broker %d at %s does not take the requests of this release: %s",
			b.ID, b.Address, strings.Join(texts, ", "))}
}

// count is a number of things: "1 broker", "2 brokers".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
