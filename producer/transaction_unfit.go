package producer

import (
	"context"
	"fmt"
	"maps"
	"time"

	"balanceq/kafkawire"
)

// unfit is an outcome that its topic does not take, for it is too large. Its partition's offset cannot pass its record
// before somebody raises the topic's limit.
type unfit struct {
	offset int64 // of its record
	err    error
	again  time.Time // when it is tried next
	tries  int
}

// commit makes a transaction of what fits, and then tries what did not: alone, as what is aborted stays in the logs.
func (t *Transactions) commit(ctx context.Context, member func() kafkawire.Member, offsets Offsets) (err error) {
	if !t.ready {
		if err := t.takeOver(ctx); err != nil { // before unfit is looked at: it may be somebody else's meanwhile
			return err
		}
	}
	fits := maps.Clone(offsets)
	for partition, u := range t.unfit {
		if fits[partition].Offset > u.offset {
			fits[partition] = kafkawire.OffsetAndMetadata{Offset: u.offset}
		}
	}
	if err := t.transact(ctx, member, fits); err != nil {
		return err
	}
	for partition, u := range maps.Clone(t.unfit) {
		if offsets[partition].Offset <= u.offset {
			continue
		}
		if !t.ready || time.Now().Before(u.again) {
			err = u.err
			continue
		}
		if err := t.transact(ctx, member, Offsets{partition: {Offset: u.offset + 1}}); err != nil {
			return err
		}
		return t.commit(ctx, member, offsets) // with what is behind it
	}
	return err
}

// tooLarge notes whose outcome the queue's batch of one message is.
func (t *Transactions) tooLarge(q *queue, err error) error {
	e := &q.entries[0]
	err = fmt.Errorf("a message of %d bytes is larger than the topic allows; raise its max.message.bytes: %w", e.size, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kept {
		if k.place != e.ack {
			continue
		}
		u := t.unfit[k.Partition]
		u.offset, u.again, u.tries = k.Offset, time.Now().Add(tooLargeBackoff), u.tries+1
		u.err = fmt.Errorf("writing to %s/%d: %w", q.topic, q.partition, err)
		t.unfit[k.Partition] = u
		if u.tries&(u.tries-1) == 0 {
			t.log.Warn().Err(err).Str("topic", q.topic).Stringer("record", k.Position).Int("bytes", e.size).Int("tries", u.tries).
				Msg("the outcome of a request is larger than its topic allows; raise max.message.bytes of the topic: " +
					"the requests behind it in its partition are not committed until then")
		}
	}
	return err
}
