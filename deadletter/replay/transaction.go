package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// TransactionalID is the transactional.id of all replays that keep a ledger in that topic: the next one ends what the
// one before has left open.
func TransactionalID(ledger string) string { return "balanceq-replay." + ledger }

// initProducer begins a new producer epoch of the transactional id, and ends what a transaction before may have left
// open in some partitions: all that stands behind it there would stay hidden.
func (r *Run) initProducer(ctx context.Context) error {
	var err error
	if r.txn, err = r.epochs.Begin(ctx, r.retry); err != nil || !r.epochs.LeftOpen() {
		return err
	}
	all := map[string][]int32{r.cfg.Ledger: {ledger.Partition}}
	for p := range r.partitions {
		all[r.cfg.Requests] = append(all[r.cfg.Requests], int32(p))
	}
	if err := r.epochs.EndAgain(ctx, r.retry, "", all); err != nil {
		return err
	}
	return r.epochs.Wait(ctx, r.retry) // so that the ledger shows all that was committed
}

// transact puts letters and their ledger entries into one transaction. On an error the next one fences first, which
// ends this one.
func (r *Run) transact(ctx context.Context, chunk []*Candidate) error {
	ctx, cancel := context.WithTimeout(ctx, transactionTimeout)
	defer cancel()
	r.ready = false
	err := r.fill(ctx, chunk)
	if err == nil {
		if err = r.wire.EndTransaction(ctx, r.txn, true); err != nil && !kafkawire.Fenced(err) {
			r.doubt = len(chunk)
		}
		r.end += int64(len(chunk)) + 1 // the mark of the end
	} else if !kafkawire.Fenced(err) {
		// So that readers need not wait for the next one, and to hear who has the id: a partition's leader may call its
		// transaction invalid before it knows of the new epoch.
		if ended := r.wire.EndTransaction(ctx, r.txn, false); kafkawire.Fenced(ended) {
			err = ended
		}
	}
	r.ready = err == nil
	return err
}

func (r *Run) fill(ctx context.Context, chunk []*Candidate) error {
	byPartition := map[int32][]*Candidate{}
	for _, a := range chunk {
		p := r.partitionOf(a)
		byPartition[p] = append(byPartition[p], a)
	}
	touched := map[string][]int32{r.cfg.Ledger: {ledger.Partition}}
	records := map[int32][]kafkawire.Record{}
	for p, letters := range byPartition {
		touched[r.cfg.Requests] = append(touched[r.cfg.Requests], p)
		for _, a := range letters {
			records[p] = append(records[p], kafkawire.Record{Key: a.Message.Key, Value: a.Message.Value,
				Headers: a.Message.Headers})
		}
	}
	err := r.retry.DoIf(ctx, transactionTimeout, kafkawire.ConcurrentTransactions, func(ctx context.Context) error {
		return r.wire.AddPartitions(ctx, r.txn, touched)
	})
	if err != nil {
		return err
	}
	first, err := r.produce(ctx, r.cfg.Requests, records)
	if err != nil {
		return err
	}
	for p, letters := range byPartition {
		for i, a := range letters {
			a.Request = schemas.Position{Topic: r.cfg.Requests, Partition: p, Offset: first[p] + int64(i)}
		}
	}
	entries, err := r.entries(chunk)
	if err != nil {
		return err
	}
	first, err = r.produce(ctx, r.cfg.Ledger, map[int32][]kafkawire.Record{ledger.Partition: entries})
	if err == nil && first[ledger.Partition] != r.end {
		err = fmt.Errorf("the ledger %s goes on at offset %d, not at %d: %w", r.cfg.Ledger, first[ledger.Partition], r.end,
			errHidden)
	}
	return err
}

// partitionOf is where the request stood before, so that it stays behind the others of its contract; an edited one with
// another key, and one that does not say, goes where its key belongs.
func (r *Run) partitionOf(a *Candidate) int32 {
	if info := a.Letter.Info(); info.HasSource && !a.rekeyed && int(info.Source.Partition) < r.partitions {
		return info.Source.Partition
	}
	all := make([]int, r.partitions)
	for i := range all {
		all[i] = i
	}
	return int32(kafkawire.KeyPartition(a.Message.Key, all...)) //nolint:gosec // one of all
}

// produce writes one batch a partition, leader by leader, and returns the offset of the first record of each.
func (r *Run) produce(ctx context.Context, topic string,
	records map[int32][]kafkawire.Record) (map[int32]int64, error) {
	leaders, _, err := r.wire.Leaders(ctx, topic)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	byLeader, without := kafkawire.ByLeader(leaders, records)
	if len(without) > 0 {
		return nil, fmt.Errorf("writing to %s/%d: %w", topic, without[0], kafkawire.ErrNoLeader)
	}
	first := map[int32]int64{}
	for leader, lists := range byLeader {
		var batches []*kafkawire.Batch
		for p, list := range lists {
			sequence := r.sequences[partition{topic, p}]
			batches = append(batches, &kafkawire.Batch{
				Topic: topic, Partition: p, Bytes: kafkawire.AppendTransactionalBatch(nil, r.txn.Producer, sequence, list, now),
			})
		}
		if err := r.wire.ProduceTransactional(ctx, r.txn, leader, batches); err != nil {
			return nil, fmt.Errorf("writing to %s: %w", topic, err)
		}
		for _, b := range batches {
			if b.Err != nil {
				return nil, fmt.Errorf("writing to %s/%d: %w", topic, b.Partition, b.Err)
			}
			at := partition{topic, b.Partition}
			r.sequences[at] = kafkawire.NextSequence(r.sequences[at], len(records[b.Partition]))
			first[b.Partition] = b.First
		}
	}
	return first, nil
}

func (r *Run) entries(chunk []*Candidate) ([]kafkawire.Record, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	entries := make([]kafkawire.Record, 0, len(chunk))
	for _, a := range chunk {
		info := a.Letter.Info()
		e := ledger.Entry{
			Run: r.cfg.Run, Time: now, By: r.cfg.By, Filter: r.cfg.Filter, Letter: a.Letter.Position, Request: a.Request,
			Reason: info.Reason, Replay: info.ReplayCount + 1, Changes: a.Changes, TopicID: r.topicID,
		}
		rec, err := e.Encode()
		if err != nil {
			return nil, err
		}
		entries = append(entries, rec)
	}
	return entries, nil
}
