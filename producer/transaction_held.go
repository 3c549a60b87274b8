package producer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"

	"github.com/segmentio/kafka-go"
)

// subject is what a refusal of the brokers concerns: all that is written to a partition of an outcome topic, the offset of a
// partition of requests, or the outcome of one record.
type subject struct {
	topic     string
	partition int32
	offset    int64 // of the record; whole: not one record alone
}

const whole = -1

func (s subject) String() string {
	if s.offset == whole {
		return fmt.Sprintf("%s/%d", s.topic, s.partition)
	}
	return schemas.Position{Topic: s.topic, Partition: s.partition, Offset: s.offset}.String()
}

// hold keeps what was refused out of transactions, so that all else is committed. Offsets of requests cannot pass the first
// one that it concerns.
type hold struct {
	err     error
	passing bool // it may be cured without anybody's help: a partition has no leader, or too few replicas
	tries   int
	since   time.Time
	again   time.Time // when it is tried next
}

const passingPatience = time.Second // with what passes or does not; the others wait meanwhile

func (h *hold) postpone() { h.again = time.Now().Add(operatorBackoff) }

// patience is how long a transaction may take that tries it again.
func (h *hold) patience(most time.Duration) time.Duration {
	if h.passing {
		return min(passingPatience, most)
	}
	return most
}

// recordError is the refusal of one record's outcome.
type recordError struct {
	schemas.Position
	err error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// hold notes what a transaction failed of, if leaving that out can cure it, and returns what to say about it; nil: it cannot.
// That is a refusal that only an operator can cure; and one that would pass, if it has not until the time was up while other
// partitions of the same transaction took theirs. With an epoch that is over, no answer says anything about its partition.
func (t *Transactions) hold(err error) (held error) {
	if kafkawire.Fenced(err) {
		return nil
	}
	for _, err := range kafkawire.Leaves(err) {
		var record *recordError
		var partition *kafkawire.PartitionError
		switch passing := kafkawire.Transient(err); {
		case errors.As(err, &record):
			held = t.keepOut(subject{record.Topic, record.Partition, record.Offset}, err, false)
		case !errors.As(err, &partition) || errors.Is(err, kafka.OffsetMetadataTooLarge): // which the consumer cures
			continue
		case lasting(err), passing && t.answered && errors.As(err, new(kafka.Error)):
			held = t.keepOut(subject{partition.Topic, partition.Partition, whole}, partition.Err, passing)
		}
	}
	return held
}

// recordLevel says that a batch was refused for what is in it: a smaller one finds the record.
func recordLevel(err error) bool {
	remedy := kafkawire.RemedyOf(err)
	return err != nil && (remedy == kafkawire.Encode || remedy == kafkawire.Reshape)
}

// lasting says that one partition does not take what is written to it before an operator has done something, or that no form
// is left that it might take. What concerns the whole of the transaction is no partition's.
func lasting(err error) bool {
	return recordLevel(err) || kafkawire.PartitionRefused(err)
}

// refused says whose outcome the queue's batch of one message is. There is no form left for it; when it is tried again, that is
// as it was at first, for somebody may have raised a limit.
func (t *Transactions) refused(q *queue, err error) error {
	e := &q.entries[0]
	t.mu.Lock()
	defer t.mu.Unlock()
	k, m := t.origin(q.topic, e)
	if k == nil {
		return err
	}
	t.exchange(k, m, m.entry.asIs(t.outcomes.Origin))
	if kafkawire.TooLarge(err) {
		err = fmt.Errorf("a message of %d bytes is larger than the topic allows: %w", m.entry.size, err)
	}
	return &recordError{k.Position, err}
}

// keepOut holds what a subject concerns from now on.
func (t *Transactions) keepOut(s subject, err error, passing bool) error {
	h := t.holds[s]
	if h == nil {
		h = &hold{since: time.Now()}
		t.holds[s] = h
	}
	fix := cmp.Or(kafkawire.Fix(err), "look at the topic and at the brokers")
	h.err, h.passing = fmt.Errorf("held: %s: %w (%s)", s, err, fix), passing
	h.tries++
	h.postpone()
	if wait.Report(h.tries) {
		t.log.Warn().Str("event", "write_held").Err(err).Stringer("held", s).Str("fix", fix).Int("tries", h.tries).
			Msg("the brokers refuse what exactly-once has to write: the requests that it concerns, and those behind them in " +
				"their partitions, are not committed until it is cured; all others are")
	}
	return h.err
}

// release ends a hold that has proved cured.
func (t *Transactions) release(s subject) {
	if h := t.holds[s]; h != nil {
		delete(t.holds, s)
		t.log.Info().Stringer("held", s).Int("tries", h.tries).Int64("held_ms", time.Since(h.since).Milliseconds()).Msg("the brokers take it again")
	}
}

// lift ends the holds of all that a committed transaction has held.
func (t *Transactions) lift(p portion) {
	if len(t.holds) == 0 {
		return
	}
	for partition := range p.offsets {
		t.release(subject{t.cfg.Topic, partition, whole})
	}
	for _, k := range p.outcomes {
		t.release(subject{k.Topic, k.Partition, k.Offset})
		for i := range k.messages {
			t.release(t.written(&k.messages[i]))
		}
	}
}

// written is the partition that a message goes to.
func (t *Transactions) written(m *addressed) subject {
	return subject{m.topic, t.topics[m.topic].queueFor(m).partition, whole}
}

// holdOf returns why an outcome cannot be committed at present, if it cannot.
func (t *Transactions) holdOf(k *kept) *hold {
	if h := t.holds[subject{k.Topic, k.Partition, k.Offset}]; h != nil {
		return h
	}
	for i := range k.messages {
		if h := t.holds[t.written(&k.messages[i])]; h != nil {
			return h
		}
	}
	return nil
}

// free returns the outcomes before the first one that is held, and what holds that one. It requires mu.
func (t *Transactions) free(partition int32, all []*kept) ([]*kept, *hold) {
	if len(t.holds) == 0 {
		return all, nil
	}
	if h := t.holds[subject{t.cfg.Topic, partition, whole}]; h != nil {
		return nil, h
	}
	for i, k := range all {
		if h := t.holdOf(k); h != nil {
			return all[:i], h
		}
	}
	return all, nil
}

// due returns the hold whose time to be tried has come first, with the transaction that tries it: the next outcome of one
// partition that waits for it, alone.
func (t *Transactions) due(ctx context.Context, asked Offsets) (next *hold, p portion) {
	if len(t.holds) == 0 || t.layout(ctx) != nil {
		return nil, p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for partition, offset := range asked {
		if stored, known := t.stored[partition]; known && stored == offset {
			continue
		}
		all := t.kept.below(partition, offset.Offset)
		free, h := t.free(partition, all)
		if h == nil || len(free) > 0 || time.Now().Before(h.again) || next != nil && next.again.Before(h.again) {
			continue
		}
		next, p = h, portion{offsets: Offsets{partition: offset}, outcomes: all[:min(1, len(all))]}
		if len(all) > 1 {
			p.offsets[partition] = all[0].req.CommitOffset()
		}
	}
	for _, k := range p.outcomes {
		p.size += k.size
	}
	if next != nil && next.passing && t.leaderless(p) {
		next.postpone()
		return nil, portion{}
	}
	return next, p
}

// leaderless says whether some of the portion could not be sent to anybody.
func (t *Transactions) leaderless(p portion) bool {
	for _, k := range p.outcomes {
		for i := range k.messages {
			if m := &k.messages[i]; t.topics[m.topic].queueFor(m).leader == noLeader {
				return true
			}
		}
	}
	return false
}
