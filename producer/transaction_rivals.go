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

// A transactional id that is taken from us this often within this time is used by somebody else as well: each takes it from
// the other whenever it commits. Once or twice may be a successor that we do not know of yet.
const (
	rivalTakeovers = 5
	rivalTime      = time.Minute
)

// rivalry remembers when the transactional id was taken from us.
type rivalry []time.Time

// lost adds one loss and says whether there have been too many.
func (r *rivalry) lost(at time.Time) bool {
	*r = slices.DeleteFunc(*r, func(before time.Time) bool { return at.Sub(before) > rivalTime })
	*r = append(*r, at)
	return len(*r) >= rivalTakeovers
}

// takenOver explains that the transaction begun at began was fenced. After its timeout that was the coordinator, which has
// given it up; before, somebody who has taken over the same id.
func (t *Transactions) takenOver(err error, began time.Time) error {
	err = kafkawire.FirstFenced(err)
	if time.Since(began) >= t.cfg.Timeout {
		return fmt.Errorf("the brokers gave up on a transaction that took longer than its timeout (%v): %w", t.cfg.Timeout, err)
	}
	if t.rivalry.lost(time.Now()) {
		t.rival = fmt.Errorf("%w: another instance uses transactional id %s too; give each an instance id, or an instance name, of its own: %w",
			kafkawire.ErrRival, t.cfg.ID, err)
		return t.rival // one more takeover would make the other one give up too
	}
	return fmt.Errorf("transactional id %s was taken over by another instance: %w", t.cfg.ID, err)
}

// start is the first takeOver. Another live instance of the same id may take it back meanwhile: between our
// InitProducerId and the end of the sweep it notices that it is fenced, and takes over in turn. That says no more about the
// two than it does at a commit, so it is tried again, until it has happened too often.
func (t *Transactions) start(ctx context.Context) error {
	for pause := minBackoff; ; pause = min(2*pause, maxPause) {
		began := time.Now()
		err := t.takeOver(ctx)
		if !kafkawire.Fenced(err) {
			return err
		}
		if err = t.takenOver(err, began); errors.Is(err, kafkawire.ErrRival) {
			return err
		}
		t.log.Warn().Str("event", "fencing_failing").Err(err).Msg("taking over the transactional id failed; trying again")
		if !wait.Sleep(ctx, pause) {
			return err
		}
	}
}
