package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// TransactionConfig says whose offsets go with the outcomes, and how much memory to use.
type TransactionConfig struct {
	ID    string // transactional.id: one an instance, the same after a restart, so that the restart ends what was open
	Group string // consumer group whose offsets are committed
	Topic string // that the group reads
	// Timeout is how long a transaction may last before the coordinator aborts it (0: 10 s). Until then, readers of the
	// topics wait for one that a killed instance has left open.
	Timeout time.Duration
	// BufferBytes bounds the outcomes that are not committed; Write blocks while it is used up. Each partition's first
	// outcome is let in all the same, as nothing could be committed without it.
	BufferBytes int
	BatchBytes  int // of one batch of several records; 0: the default
}

const defaultTransactionTimeout = 10 * time.Second

// Offsets are what a group commits, by partition.
type Offsets = map[int32]kafkawire.OffsetAndMetadata

// Transactions writes outcomes and the offsets of their records in one transaction (KIP-98, KIP-447): a reader with
// isolation.level=read_committed sees each once. Write puts an outcome into the outbox; Commit makes a transaction of
// those whose records lie below the committed offsets. What lies above waits: committed now, it would be repeated by
// the next owner of the partition, which reads on from those offsets.
//
// When a transaction fails, its outcomes stay in the outbox for the next one. Whether the failed one was committed all
// the same (the answer was lost) is what the group's offsets say: they were part of it.
type Transactions struct {
	outcomes  Outcomes // its Producer is not used
	outbox    *outbox
	committer *committer
}

// NewTransactions begins an epoch of the transactional id, which aborts what an earlier process of this instance has
// left open. It fails when a topic does not exist.
func NewTransactions(
	ctx context.Context, cfg TransactionConfig, outcomes Outcomes, wire *kafkawire.Client, log zerolog.Logger,
	obs Observer,
) (*Transactions, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTransactionTimeout
	}
	if cfg.BatchBytes <= 0 {
		cfg.BatchBytes = defaultBatchBytes
	}
	pending := newOutbox(cfg.BufferBytes)
	t := &Transactions{outcomes: outcomes, outbox: pending,
		committer: newCommitter(cfg, outcomes, pending, wire, log, obs)}
	if err := firstLook(ctx, log, t.committer.refreshLayout); err != nil {
		return nil, err
	}
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := t.committer.start(start)
	if kafkawire.Transient(err) && !errors.Is(ctx.Err(), context.Canceled) {
		return nil, fmt.Errorf("no transaction coordinator answers (with fewer than 3 brokers, lower their settings "+
			"transaction.state.log.replication.factor and transaction.state.log.min.isr): %w", err)
	}
	if err != nil {
		return nil, err
	}
	t.committer.failing.note(nil)
	return t, nil
}

// Write puts the outcome of one request into the outbox until its offset is committed, and says at once that it is
// pending. It fails only when ctx ends while the buffer is full; the outcome is not pending then. An outcome whose
// partition was given back is said to be pending and forgotten: the next owner answers the request.
func (t *Transactions) Write(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	p := newPending(req, t.outcomes.address(req, out))
	if err := t.outbox.put(ctx, p); err != nil {
		return fmt.Errorf("keeping the outcome of %s: %w", p.Position, err)
	}
	req.Pending()
	t.outbox.admitWaiting() // another one may be its partition's first now
	return nil
}

// Commit makes the offsets permanent for the group of the member, and with them every outcome of records below them, or
// neither. It commits as much as one transaction can hold in time, and returns what is permanent now, on an error as
// well: of a partition an offset below the one asked for if the rest has to go into another transaction, none if its
// next outcome is held. Offsets that have not moved need no transaction.
//
// It takes TransactionConfig.Timeout at most, and as long again where something held is tried; before that it pauses
// where the last one failed: what was written then is in the brokers' logs, aborted. On an error the outcomes stay
// pending for the next Commit. member is asked again with every try: the generation may change meanwhile.
func (t *Transactions) Commit(
	ctx context.Context, member func() kafkawire.Member, asked Offsets,
) (committed Offsets, err error) {
	return t.committer.commit(ctx, member, asked)
}

// InDoubt says that it is not known whether the last transaction with that partition's offset was committed. The next
// Commit finds out first, and says Committed to its requests if it was.
func (t *Transactions) InDoubt(partition int32) bool { return t.committer.inDoubt(partition) }

// Revoked forgets the outcomes of partitions that have been given back (they are not owned any more).
func (t *Transactions) Revoked() {
	t.committer.revoked()
	t.outbox.removeRevoked()
	t.committer.failing.note(nil) // there may be nothing left to commit; otherwise the next Commit says it again
}

// Close ends the use of t. What is pending is dropped: its offsets are not committed, so its requests come again.
func (t *Transactions) Close(context.Context) error { return nil }

// Status returns a snapshot. Buffered counts outcomes that are not committed; Failing is why Commit fails.
func (t *Transactions) Status() Status {
	s := Status{Buffered: t.outbox.buffered(), Limit: t.outbox.limit, Ordered: true}
	s.Since, s.Failing = t.committer.failing.status()
	return s
}
