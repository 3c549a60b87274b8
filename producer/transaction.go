package producer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"

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
	firstPortion              = 4 << 20 // of a transaction, before anything is known about the line
)

// Offsets are what a group commits, by partition.
type Offsets = map[int32]kafkawire.OffsetAndMetadata

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
	rival      error         // nothing is committed any more: it would go on for ever
	wait       time.Duration // before the next transaction, as the one before failed
	pace       pace          // how much one transaction holds
	answered   bool          // some partition of this transaction is not in trouble
	topics     map[string]*topic
	stored     Offsets // committed offsets, as far as known
	holds      map[subject]*hold

	mu      sync.Mutex
	waiting line[*kept] // writes for which there is no room
	kept    backlog
	failure failure // of Commit; err is nil while it works
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
		topics: map[string]*topic{}, stored: Offsets{}, holds: map[subject]*hold{}, kept: backlog{partitions: map[int32][]*kept{}},
		pace: pace{limit: min(firstPortion, max(cfg.BufferBytes, leastPace)), most: max(cfg.BufferBytes, leastPace), aim: cfg.Timeout / 3}}
	for _, name := range outcomes.Topics() {
		t.topics[name] = &topic{name: name}
	}
	if err := firstLook(ctx, log, t.layout); err != nil {
		return nil, err
	}
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := t.start(start)
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

// Write keeps the outcome of one request until its offset is committed, and says at once that it is pending.
// It fails only when ctx ends while the buffer is full; nothing is kept then. An outcome whose partition was given back is
// said to be pending and forgotten: the next owner answers the request.
func (t *Transactions) Write(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	k := &kept{req: req, Position: req.Record.Position, messages: t.address(req, out), since: time.Now()}
	for i := range k.messages {
		k.size += k.messages[i].entry.size
	}
	if err := t.admit(ctx, k); err != nil {
		return fmt.Errorf("keeping the outcome of %s: %w", k.Position, err)
	}
	req.Pending()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance() // another one may be its partition's next now
	return nil
}

// address is what Outcomes.Write does, for messages that are not sent yet.
func (t *Transactions) address(req *inflight.Request, out schemas.Outcome) []addressed {
	var messages []addressed
	if out.DeadLetter != nil {
		messages = append(messages, addressed{t.outcomes.DeadLetters, req.Record.Partition, t.outcomes.letter(req, out.DeadLetter)})
	}
	if out.Result != nil {
		messages = append(messages, addressed{t.outcomes.Results, Keyed, t.outcomes.result(req, out.Result)})
	}
	return messages
}

// admit keeps an outcome when there is room for it and for all that came before it, or when it is exempt.
func (t *Transactions) admit(ctx context.Context, k *kept) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting.waiting) == 0 && t.room(k) || t.exempt(k) {
		t.keep(k)
		return nil
	}
	err := t.waiting.wait(ctx, &t.mu, k)
	if err != nil {
		t.advance() // those behind one that gave up
	}
	return err
}

// advance requires mu.
func (t *Transactions) advance() {
	if len(t.waiting.waiting) > 0 {
		t.waiting.advance(t.room, t.exempt, t.keep)
	}
}

// keep requires mu.
func (t *Transactions) keep(k *kept) {
	if k.req.Owned() {
		t.kept.add(k)
	}
}

// room requires mu.
func (t *Transactions) room(k *kept) bool {
	return t.kept.bytes == 0 || t.kept.bytes+k.size <= t.cfg.BufferBytes
}

// exempt requires mu. With the buffer full of outcomes that wait for earlier records, those records' outcomes must get in,
// or nothing would ever be committed. So a partition's next one does, unless an earlier one is here already: then a commit
// makes room. That is one outcome a partition beyond the bound. One whose partition was given back takes no room.
func (t *Transactions) exempt(k *kept) bool {
	return !k.req.Owned() || k.req.First() && len(t.kept.below(k.Partition, k.Offset)) == 0
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

// drop forgets the outcomes of records below the offsets: they are in the log.
func (t *Transactions) drop(below Offsets) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for partition, offset := range below {
		t.kept.drop(partition, func(k *kept) bool {
			gone := k.Offset < offset.Offset
			if gone && k.req.Owned() {
				k.req.Committed()
			}
			return gone
		})
	}
	t.advance()
}

// Revoked forgets the outcomes of partitions that have been given back (they are not owned any more).
func (t *Transactions) Revoked() {
	t.committing.Lock()
	clear(t.stored) // others commit now
	maps.DeleteFunc(t.holds, func(s subject, _ *hold) bool { return s.topic == t.cfg.Topic })
	t.committing.Unlock()
	t.mu.Lock()
	for _, partition := range slices.Collect(maps.Keys(t.kept.partitions)) {
		t.kept.drop(partition, func(k *kept) bool { return !k.req.Owned() })
	}
	t.advance()
	t.mu.Unlock()
	t.note(nil) // there may be nothing left to commit; otherwise the next Commit says it again
}

// live returns the partitions of which outcomes are kept that are still ours to commit.
func (t *Transactions) live() []int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var partitions []int32
	for partition, list := range t.kept.partitions {
		if slices.ContainsFunc(list, func(k *kept) bool { return k.req.Owned() }) {
			partitions = append(partitions, partition)
		}
	}
	return partitions
}

// Close ends the use of t. What is kept is dropped: its offsets are not committed, so its requests come again.
func (t *Transactions) Close(context.Context) error { return nil }

// Status returns a snapshot. Buffered counts outcomes that are not committed; Failing is why Commit fails.
func (t *Transactions) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{Buffered: t.kept.bytes, Failing: t.failure.err, Ordered: true}
	if s.Failing != nil {
		s.Since = time.Since(t.failure.since)
	}
	return s
}
