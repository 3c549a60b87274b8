package producer

import (
	"context"

	"github.com/balanceq/balanceq/kafkawire"
)

// sweep ends what the brokers may have left open of the transaction before.
func (t *Transactions) sweep(ctx context.Context, last kafkawire.Ending) error {
	if !last.Decided() {
		return nil
	}
	if err := t.retry(ctx, t.layout); err != nil {
		return err
	}
	partitions := map[string][]int32{}
	for name, topic := range t.topics {
		for _, q := range topic.queues {
			partitions[name] = append(partitions[name], q.partition)
		}
	}
	return t.retries().EndAgain(ctx, t.txn, last, t.cfg.Group, partitions)
}
