package producer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"balanceq/kafkawire"
	"balanceq/schemas"

	"github.com/rs/zerolog"
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

const (
	defaultTransactionTimeout = 10 * time.Second
)

// Offsets are what a group commits, by partition.
type Offsets = map[int32]kafkawire.OffsetAndMetadata

// Place is where an outcome's record stands in its partition. Its methods must not block.
type Place = interface {
	Ack
	// Next says that every record before it has been delivered.
	Next() bool
	// Live says that the partition is still ours.
	Live() bool
	// Committed is called once if its offset is committed, and its outcome with it.
	Committed()
	// Behind is what to commit when this record is the last one that is done.
	Behind() kafkawire.OffsetAndMetadata
}

// Transactions writes outcomes and the offsets of their records in one transaction (KIP-98, KIP-447): a reader with
// isolation.level=read_committed sees each once. Write keeps an outcome in memory; Commit makes a transaction of those
// whose records lie below the committed offsets. What lies above waits: committed now, it would be repeated by whoever
// reads on from those offsets.
//
// When a transaction fails, its outcomes stay in memory for the next one. Whether the failed one was committed all the same
// (the answer was lost) is what the group's offsets say: they were part of it.
type Transactions struct {
	cfg      TransactionConfig
	outcomes Outcomes // its Producer is not used
	wire     *kafkawire.Client
	log      zerolog.Logger
	obs      Observer

	// committing guards what follows: there is one transaction at a time.
	committing sync.Mutex
	txn        kafkawire.Transactional
	ready      bool // txn can begin a transaction; otherwise take over first
	lost       bool // an answer was lost: its request may still arrive at a broker
	rivalry    rivalry
	rival      error           // nothing is committed any more: it would go on for ever
	unfit      map[int32]unfit // outcomes that are too large, by partition of their record
	wait       time.Duration   // before the next transaction, as the one before failed
	topics     map[string]*topic
	stored     Offsets // committed offsets, as far as known

	mu       sync.Mutex
	space    sync.Cond // signalled when a Write that waits may go on
	kept     []*kept   // in the order of Write
	buffered int       // bytes
	failure  failure   // of Commit; err is nil while it works
}

// kept is an outcome that is not committed.
type kept struct {
	schemas.Position // of its record
	place            Place
	messages         []addressed
	size             int
}

// addressed is one message of an outcome.
type addressed struct {
	topic     string
	partition int32 // or Keyed
	entry     entry
}

// NewTransactions takes over the transactional id, which aborts what an earlier process of this instance has left open. It
// fails when a topic does not exist.
func NewTransactions(ctx context.Context, cfg TransactionConfig, outcomes Outcomes, wire *kafkawire.Client, log zerolog.Logger, obs Observer) (*Transactions, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTransactionTimeout
	}
	if cfg.BatchBytes <= 0 {
		cfg.BatchBytes = defaultBatchBytes
	}
	t := &Transactions{cfg: cfg, outcomes: outcomes, wire: wire, log: log, obs: obs,
		topics: map[string]*topic{}, stored: Offsets{}, unfit: map[int32]unfit{}}
	t.space.L = &t.mu
	for _, name := range outcomes.Topics() {
		t.topics[name] = &topic{name: name}
	}
	if err := firstLook(ctx, log, t.layout); err != nil {
		return nil, err
	}
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := t.takeOver(start)
	if kafkawire.Transient(err) && !errors.Is(ctx.Err(), context.Canceled) {
		return nil, fmt.Errorf("no transaction coordinator answers (with fewer than 3 brokers, lower their settings "+
			"transaction.state.log.replication.factor and transaction.state.log.min.isr): %w", err)
	}
	if err != nil {
		return nil, err
	}
	t.note(nil)
	return t, nil
}

// Write keeps the outcome of one record until its offset is committed, and acknowledges it at once, each of its messages.
// It fails only when ctx ends while the buffer is full; nothing is kept then. An outcome whose partition was given back is
// acknowledged and forgotten: the next owner answers the record.
func (t *Transactions) Write(ctx context.Context, inq *schemas.Inquiry, out schemas.Outcome, place Place) error {
	k := &kept{Position: inq.Record.Position, place: place, messages: t.address(inq, out, place)}
	for i := range k.messages {
		k.size += k.messages[i].entry.size
	}
	if err := t.keep(ctx, k); err != nil {
		return fmt.Errorf("keeping the outcome of %s: %w", k.Position, err)
	}
	for range k.messages {
		place.Acknowledged()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.space.Broadcast() // another one may be its partition's first now
	return nil
}

// address is what Outcomes.Write does, for messages that are not sent yet.
func (t *Transactions) address(inq *schemas.Inquiry, out schemas.Outcome, place Place) []addressed {
	var messages []addressed
	if out.DeadLetter != nil {
		m := newEntry(out.DeadLetter.Message(t.outcomes.Origin), place)
		messages = append(messages, addressed{t.outcomes.DeadLetters, inq.Record.Partition, m})
	}
	if out.Result != nil {
		messages = append(messages, addressed{t.outcomes.Results, Keyed, newEntry(out.Result.Message(inq.Record.Key), place)})
	}
	return messages
}

func (t *Transactions) keep(ctx context.Context, k *kept) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.space.Broadcast()
	})
	defer stop()
	for !t.admits(k) {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.space.Wait()
	}
	if k.place.Live() {
		t.kept = append(t.kept, k)
		t.buffered += k.size
	}
	return nil
}

// admits requires mu. With the buffer full of outcomes that wait for earlier records, those records' outcomes must get in,
// or nothing would ever be committed. So a partition's next one does, unless an earlier one is here already: then a commit
// makes room. That is one outcome a partition beyond the bound.
func (t *Transactions) admits(k *kept) bool {
	if t.buffered == 0 || t.buffered+k.size <= t.cfg.BufferBytes || !k.place.Live() {
		return true
	}
	return k.place.Next() && !slices.ContainsFunc(t.kept, func(other *kept) bool {
		return other.Partition == k.Partition && other.Offset < k.Offset
	})
}

// Commit makes the offsets permanent for the group of the member, and with them every outcome of records below them, or neither.
// Offsets that have not moved since the last Commit are left out; without any other, there is no transaction. It takes
// cfg.Timeout at most, and a pause before that where the last one failed: what was written then is in the brokers' logs,
// aborted. On an error the outcomes are kept for the next Commit. member is asked again with every try: the generation may
// change meanwhile.
func (t *Transactions) Commit(ctx context.Context, member func() kafkawire.Member, offsets Offsets) (Offsets, error) {
	t.committing.Lock()
	defer t.committing.Unlock()
	if t.rival != nil {
		return nil, t.rival
	}
	if !kafkawire.Pause(ctx, t.wait) {
		return nil, ctx.Err()
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	err := t.commit(ctx, member, offsets)
	if kafkawire.Fenced(err) {
		err = t.takenOver(err, began)
	}
	t.wait = min(max(2*t.wait, minBackoff), maxBackoff)
	if t.ready { // nothing was aborted
		t.wait = 0
	}
	t.note(err)
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

// note keeps for Status why commits fail; nil: they do not.
func (t *Transactions) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil || t.failure.err == nil {
		t.failure.since = time.Now()
	}
	t.failure.err = err
}

// transact makes one transaction of the offsets and of all outcomes below them. t must be ready.
func (t *Transactions) transact(ctx context.Context, member func() kafkawire.Member, offsets Offsets) error {
	moved := maps.Clone(offsets)
	maps.DeleteFunc(moved, func(partition int32, offset kafkawire.OffsetAndMetadata) bool {
		stored, known := t.stored[partition]
		return known && stored == offset
	})
	if len(moved) == 0 {
		return nil
	}
	t.ready = false // until all of it has a definite answer
	if err := t.fill(ctx, member, moved); err != nil {
		t.abort(ctx)
		return err
	}
	// From here on only the same decision may be repeated. If it gets no definite answer, takeOver finds out.
	if err := t.retry(ctx, func(ctx context.Context) error { return t.wire.EndTransaction(ctx, t.txn, true) }); err != nil {
		return err
	}
	t.ready = !t.lost
	maps.Copy(t.stored, moved)
	t.drop(moved)
	return nil
}

// drop forgets the outcomes of records below the offsets: they are in the log.
func (t *Transactions) drop(below Offsets) {
	maps.DeleteFunc(t.unfit, func(partition int32, u unfit) bool { return u.offset < below[partition].Offset })
	t.forget(func(k *kept) bool {
		offset, ok := below[k.Partition]
		gone := ok && k.Offset < offset.Offset
		if gone && k.place.Live() {
			k.place.Committed()
		}
		return gone
	})
}

// Revoked forgets the outcomes of partitions that have been given back (their Place is not Live any more).
func (t *Transactions) Revoked() {
	t.committing.Lock()
	clear(t.stored) // others commit now
	clear(t.unfit)
	t.committing.Unlock()
	t.forget(func(k *kept) bool { return !k.place.Live() })
	t.note(nil) // there may be nothing left to commit; otherwise the next Commit says it again
}

func (t *Transactions) forget(gone func(*kept) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = slices.DeleteFunc(t.kept, func(k *kept) bool {
		if !gone(k) {
			return false
		}
		t.buffered -= k.size
		return true
	})
	t.space.Broadcast()
}

// Close ends the use of t. What is kept is dropped: its offsets are not committed, so its requests come again.
func (t *Transactions) Close(context.Context) error { return nil }

// Status returns a snapshot. Buffered counts outcomes that are not committed; Failing is why Commit fails.
func (t *Transactions) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{Buffered: t.buffered, Failing: t.failure.err, Ordered: true}
	if s.Failing != nil {
		s.Since = time.Since(t.failure.since)
	}
	return s
}
