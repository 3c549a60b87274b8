package preflight

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// The brokers' names of what transactions depend on.
const (
	configMaxTransaction = "transaction.max.timeout.ms"
	configStateReplicas  = "transaction.state.log.replication.factor"
	configStateInSync    = "transaction.state.log.min.isr"
)

// CheckTransactions is the check whether this instance can use its transactional id; with at-least-once there is
// nothing to look at. It fences no other instance.
func CheckTransactions(ctx context.Context, c *Cluster) ([]finding.Finding, error) {
	cfg := c.cfg
	if cfg.Delivery != config.DeliveryExactlyOnce {
		return nil, nil
	}
	return c.ask(ctx, func(client *kafkawire.Client) ([]finding.Finding, error) {
		configs, err := inspect.BrokerConfigs(ctx, client, configMaxTransaction, configStateReplicas, configStateInSync)
		if err != nil && !kafkawire.Forbidden(err) {
			return nil, err
		}
		brokers, err := inspect.ListBrokers(ctx, client)
		if err != nil {
			return nil, err
		}
		id := cfg.TransactionalID()
		state, err := client.DescribeTransactional(ctx, id)
		if kafkawire.Forbidden(err) {
			return []finding.Finding{lacks(cfg.Kafka, rights.Transactional(cfg))}, nil
		}
		found := transactionLimits(cfg.Kafka, configs, len(brokers), !kafkawire.NoCoordinator(err))
		if len(found) > 0 {
			err = nil // which they explain
		}
		return orSeen(found, "%s: %s", id, cmp.Or(state, "not used yet")), err
	})
}

// transactionLimits compares what the brokers say about themselves; what they do not say is not known. The log of the
// transactions' states once made, there may be fewer brokers than it has replicas: coordinated says that it can be
// used.
func transactionLimits(k config.Kafka, configs map[string]string, brokers int, coordinated bool) []finding.Finding {
	var findings []finding.Finding
	if ms, err := strconv.ParseInt(configs[configMaxTransaction], 10, 64); err == nil &&
		k.TransactionTimeout.Milliseconds() > ms {
		findings = append(findings, finding.Finding{Severity: finding.Fail, Key: "kafka.transaction-timeout",
			What: fmt.Sprintf("is %v, and the brokers allow %v at most (%s=%d)",
				k.TransactionTimeout, time.Duration(ms)*time.Millisecond, configMaxTransaction, ms),
			Fix: "lower kafka.transaction-timeout",
		})
	}
	limits := []string{configStateInSync}
	if !coordinated {
		limits = append(limits, configStateReplicas)
	}
	for _, name := range limits {
		if n, err := strconv.Atoi(configs[name]); err == nil && n > brokers {
			findings = append(findings, finding.Finding{Severity: finding.Fail, Passing: true, // as the other brokers start
				What: fmt.Sprintf("the brokers cannot keep transactions: %s is %d, and there is only %s",
					name, n, count(brokers, "broker")),
				Fix: fmt.Sprintf("start the others, or lower %s on the brokers and restart them", name),
			})
		}
	}
	return findings
}
