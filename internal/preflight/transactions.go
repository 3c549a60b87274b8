package preflight

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"

	"github.com/rs/zerolog"
)

// The brokers' names of what transactions depend on.
const (
	configMaxTransaction = "transaction.max.timeout.ms"
	configStateReplicas  = "transaction.state.log.replication.factor"
	configStateInSync    = "transaction.state.log.min.isr"
)

// CheckTransactions looks whether this instance can use its transactional id; with at-least-once there is nothing to look at. It
// fences nobody. Its error says that the cluster could not be asked.
func CheckTransactions(ctx context.Context, cfg config.Config, log zerolog.Logger) (Report, error) {
	if cfg.Delivery != config.DeliveryExactlyOnce {
		return Report{}, nil
	}
	return askKafka(ctx, cfg, log, func(client *kafkawire.Client) (Report, error) {
		configs, err := inspect.BrokerConfigs(ctx, client, configMaxTransaction, configStateReplicas, configStateInSync)
		if err != nil {
			return Report{}, err
		}
		brokers, err := inspect.Brokers(ctx, client, nil)
		if err != nil {
			return Report{}, err
		}
		id := cfg.TransactionalID()
		state, err := client.DescribeTransactional(ctx, id)
		if kafkawire.Forbidden(err) {
			return Report{Findings: []Finding{lacksACL(cfg.Kafka, "Write", "transactional-id", id)}}, nil
		}
		findings := judgeTransactions(cfg.Kafka, configs, len(brokers), !kafkawire.NoCoordinator(err))
		if len(findings) > 0 {
			err = nil // which they explain
		}
		return Report{Seen: fmt.Sprintf("%s: %s", id, cmp.Or(state, "not used yet")), Findings: findings}, err
	})
}

// judgeTransactions compares what the brokers say about themselves; what they do not say is not known. The log of the
// transactions' states once made, there may be fewer brokers than it has replicas: coordinated says that it can be used.
func judgeTransactions(k config.Kafka, configs map[string]string, brokers int, coordinated bool) []Finding {
	var findings []Finding
	if ms, err := strconv.ParseInt(configs[configMaxTransaction], 10, 64); err == nil && k.TransactionTimeout.Milliseconds() > ms {
		findings = append(findings, Finding{Fatal: true,
			Problem: fmt.Sprintf("kafka.transaction-timeout is %v, and the brokers allow %v at most (%s=%d)",
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
			findings = append(findings, Finding{Fatal: true, passing: true, // as the other brokers start
				Problem: fmt.Sprintf("the brokers cannot keep transactions: %s is %d, and there is only %s",
					name, n, count(brokers, "broker")),
				Fix: fmt.Sprintf("start the others, or lower %s on the brokers and restart them", name),
			})
		}
	}
	return findings
}
