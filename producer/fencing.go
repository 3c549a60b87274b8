package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// A transactional id that is fenced this often within this time is used by another live instance as well: each fences
// the other whenever it commits. Once or twice may be a successor that is not known of yet.
const (
	maxFencings    = 5
	fencingsWithin = time.Minute
)

// fencings remembers when another instance fenced the transactional id.
type fencings struct {
	times  []time.Time
	shared error // set once there were too many: nothing is committed any more, it would go on for ever
}

// add adds one and says whether there have been too many.
func (f *fencings) add(at time.Time) bool {
	f.times = slices.DeleteFunc(f.times, func(before time.Time) bool { return at.Sub(before) > fencingsWithin })
	f.times = append(f.times, at)
	return len(f.times) >= maxFencings
}

// explainFencing says what it means that the transaction begun at began was fenced, if it was. After its timeout that
// was the coordinator, which has given it up; before, another instance that has begun an epoch of the same id.
func (c *committer) explainFencing(err error, began time.Time) error {
	if !kafkawire.Fenced(err) {
		return err
	}
	err = kafkawire.FirstFenced(err)
	if time.Since(began) >= c.cfg.Timeout {
		return fmt.Errorf("the brokers gave up on a transaction that took longer than its timeout (%v): %w",
			c.cfg.Timeout, err)
	}
	if c.fencings.add(time.Now()) {
		c.fencings.shared = fmt.Errorf("%w: another instance uses transactional id %s too; "+
			"give each an instance id, or an instance name, of its own: %w", kafkawire.ErrSharedID, c.cfg.ID, err)
		return c.fencings.shared // one more epoch would make the other one give up too
	}
	return fmt.Errorf("transactional id %s was fenced by another instance: %w", c.cfg.ID, err)
}

// start is the first initProducer. Another live instance of the same id may fence it meanwhile: between our
// InitProducerId and the end of endAgain it notices that it is fenced, and begins an epoch in turn. That says no more
// about the two than it does at a commit, so it is tried again, until it has happened too often.
func (c *committer) start(ctx context.Context) error {
	for pause := minBackoff; ; pause = min(2*pause, maxPause) {
		began := time.Now()
		err := c.initProducer(ctx)
		if !kafkawire.Fenced(err) {
			return err
		}
		if err = c.explainFencing(err, began); errors.Is(err, kafkawire.ErrSharedID) {
			return err
		}
		c.log.Warn().Str("event", "fencing_failing").Err(err).
			Msg("beginning an epoch of the transactional id failed; trying again")
		if !wait.Sleep(ctx, pause) {
			return err
		}
	}
}
