package producer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// subject is what a refusal of the brokers concerns: all that is written to a partition of an outcome topic, the offset
// of a partition of requests, or the outcome of one record.
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

// hold is why what was refused stays out of transactions, so that all else is committed. Offsets of requests cannot
// pass the first one that it concerns.
type hold struct {
	err       error
	transient bool // it may be cured without anybody's help: a partition has no leader, or too few replicas
	tries     int
	since     time.Time
	again     time.Time // when it is tried next
}

const transientTimeout = time.Second // for what passes or does not; the others wait meanwhile

// postpone says when it is tried next: what passes by itself soon, and then less and less often.
func (h *hold) postpone() {
	pause := operatorBackoff
	if h.transient {
		pause = min(pause, transientTimeout<<min(max(0, h.tries-1), 10))
	}
	h.again = time.Now().Add(pause)
}

// timeout is how long a transaction may take that tries it again.
func (h *hold) timeout(most time.Duration) time.Duration {
	if h.transient {
		return min(transientTimeout, most)
	}
	return most
}

// holds are those of all subjects. The committer's mutex guards them.
type holds struct {
	requests string // topic
	layout   layout // of the outcome topics
	log      zerolog.Logger
	list     map[subject]*hold
}

func newHolds(requests string, l layout, log zerolog.Logger) holds {
	return holds{requests: requests, layout: l, log: log, list: map[subject]*hold{}}
}

// recordError is the refusal of one record's outcome.
type recordError struct {
	schemas.Position
	err error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// hold adds holds for what a transaction failed of, if leaving that out can cure it, and returns what to say about it;
// nil: it cannot. That is a refusal that only an operator can cure; and one that would pass, if it has not until the
// time was up while other partitions of the same transaction took theirs. With an epoch that is over, no answer says
// anything about its partition.
func (c *committer) hold(err error) (held error) {
	if kafkawire.Fenced(err) {
		return nil
	}
	for _, err := range kafkawire.Leaves(err) {
		if record, ok := errors.AsType[*recordError](err); ok {
			held = c.holds.add(subject{record.Topic, record.Partition, record.Offset}, err, false)
			continue
		}
		partition, ok := errors.AsType[*kafkawire.PartitionError](err)
		if !ok || errors.Is(err, kafka.OffsetMetadataTooLarge) { // which the consumer cures
			continue
		}
		transient := kafkawire.Transient(err)
		if lasting(err) || transient && c.answered && isAnswer(err) {
			held = c.holds.add(subject{partition.Topic, partition.Partition, whole}, partition.Err, transient)
		}
	}
	return held
}

// othersWait says that nothing of a transaction is left but partitions that will take theirs later, as brokers say.
func (c *committer) othersWait(err error) bool {
	for _, err := range kafkawire.Leaves(err) {
		_, ofPartition := errors.AsType[*kafkawire.PartitionError](err)
		if !ofPartition || !kafkawire.Transient(err) || !isAnswer(err) {
			return false
		}
	}
	return c.answered
}

// isAnswer says that err is a broker's answer, and not the loss of one.
func isAnswer(err error) bool {
	_, ok := errors.AsType[kafka.Error](err)
	return ok
}

// recordLevel says that a batch was refused for what is in it: a smaller one finds the record.
func recordLevel(err error) bool {
	remedy := kafkawire.RemedyOf(err)
	return err != nil && (remedy == kafkawire.Encode || remedy == kafkawire.Reshape)
}

// lasting says that one partition does not take what is written to it before an operator has done something, or that no
// form is left that it might take. What concerns the whole of the transaction is no partition's.
func lasting(err error) bool {
	return recordLevel(err) || kafkawire.PartitionRefused(err)
}

// add holds what a subject concerns from now on.
func (h *holds) add(s subject, err error, transient bool) error {
	one := h.list[s]
	if one == nil {
		one = &hold{since: time.Now()}
		h.list[s] = one
	}
	fix := cmp.Or(kafkawire.Fix(err), "look at the topic and at the brokers")
	one.err, one.transient = fmt.Errorf("held: %s: %w (%s)", s, err, fix), transient
	one.tries++
	one.postpone()
	if wait.Report(one.tries) {
		h.log.Warn().Str("event", "write_held").Err(err).Stringer("held", s).Str("fix", fix).Int("tries", one.tries).
			Msg("the brokers refuse what exactly-once has to write: the requests that it concerns, and those behind them in " +
				"their partitions, are not committed until it is cured; all others are")
	}
	return one.err
}

// remove ends a hold that has proved cured.
func (h *holds) remove(s subject) {
	if one := h.list[s]; one != nil {
		delete(h.list, s)
		h.log.Info().Stringer("held", s).Int("tries", one.tries).Int64("held_ms", time.Since(one.since).Milliseconds()).
			Msg("the brokers take it again")
	}
}

// removeRequests ends the holds of offsets and outcomes of requests, whose partitions have been given back.
func (h *holds) removeRequests() {
	maps.DeleteFunc(h.list, func(s subject, _ *hold) bool { return s.topic == h.requests })
}

// cured ends the holds of all that a committed transaction has held.
func (h *holds) cured(p portion) {
	if len(h.list) == 0 {
		return
	}
	for partition := range p.offsets {
		h.remove(subject{h.requests, partition, whole})
	}
	for _, o := range p.outcomes {
		h.remove(subject{o.Topic, o.Partition, o.Offset})
		for i := range o.messages {
			h.remove(h.written(&o.messages[i]))
		}
	}
}

// written is the partition that a message goes to.
func (h *holds) written(m *addressed) subject {
	return subject{m.topic, h.layout.queueFor(m).partition, whole}
}

// of returns why an outcome cannot be committed at present, if it cannot.
func (h *holds) of(o *pending) *hold {
	if one := h.list[subject{o.Topic, o.Partition, o.Offset}]; one != nil {
		return one
	}
	for i := range o.messages {
		if one := h.list[h.written(&o.messages[i])]; one != nil {
			return one
		}
	}
	return nil
}

// free returns the outcomes before the first one that is held, and what holds that one.
func (h *holds) free(partition int32, all []*pending) ([]*pending, *hold) {
	if len(h.list) == 0 {
		return all, nil
	}
	if one := h.list[subject{h.requests, partition, whole}]; one != nil {
		return nil, one
	}
	for i, o := range all {
		if one := h.of(o); one != nil {
			return all[:i], one
		}
	}
	return all, nil
}

// dueHold returns the hold whose time to be tried has come first, with the transaction that tries it: the next outcome
// of one partition that waits for it, alone.
func (c *committer) dueHold(ctx context.Context, asked Offsets) (next *hold, p portion) {
	if len(c.holds.list) == 0 || c.refreshLayout(ctx) != nil {
		return nil, p
	}
	for partition, offset := range asked {
		if c.isStored(partition, offset) {
			continue
		}
		all := c.outbox.below(partition, offset.Offset)
		free, h := c.holds.free(partition, all)
		if h == nil || len(free) > 0 || time.Now().Before(h.again) || next != nil && next.again.Before(h.again) {
			continue
		}
		next, p = h, portion{offsets: Offsets{partition: offset}, outcomes: all[:min(1, len(all))]}
		if len(all) > 1 {
			p.offsets[partition] = all[0].req.CommitOffset()
		}
	}
	for _, o := range p.outcomes {
		p.size += o.size
	}
	if next != nil && next.transient && c.layout.leaderless(p) {
		next.postpone()
		return nil, portion{}
	}
	return next, p
}

// leaderless says whether some of the portion could not be sent at all.
func (l layout) leaderless(p portion) bool {
	for _, o := range p.outcomes {
		for i := range o.messages {
			if l.queueFor(&o.messages[i]).leader == noLeader {
				return true
			}
		}
	}
	return false
}
