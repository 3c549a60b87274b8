package producer

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// committer makes transactions of what is pending in the outbox; commit.go is how.
type committer struct {
	cfg      TransactionConfig
	outcomes Outcomes
	wire     *kafkawire.Client
	log      zerolog.Logger
	obs      Observer
	outbox   *outbox
	failing  failing

	mu         sync.Mutex // guards what follows: there is one transaction at a time
	epochs     kafkawire.Epochs
	txn        kafkawire.Transactional // of the latest epoch
	ready      bool                    // txn can begin a transaction; otherwise initProducer first
	answerLost bool                    // a request of this epoch may still arrive at a broker
	pause      time.Duration           // before the next transaction, as the one before failed
	pace       pace                    // how much one transaction holds
	answered   bool                    // some partition took, or refused, what this transaction wrote to it
	written    map[place]int32         // leader epochs of where the last transaction wrote, from before it did
	leaderless map[place]time.Time     // since when partitions have had no leader, as far as endAgain has seen
	layout     layout
	stored     Offsets // committed offsets, as far as known
	doubt      Offsets // of the transaction whose end is not known
	holds      holds
	fencings   fencings
}

const firstPortion = 4 << 20 // of a transaction, before anything is known about the line

func newCommitter(
	cfg TransactionConfig, outcomes Outcomes, pending *outbox, wire *kafkawire.Client, log zerolog.Logger, obs Observer,
) *committer {
	most := max(cfg.BufferBytes, leastPace)
	c := &committer{
		cfg: cfg, outcomes: outcomes, wire: wire, log: log, obs: obs, outbox: pending,
		epochs:     kafkawire.Epochs{ID: cfg.ID, Timeout: cfg.Timeout},
		leaderless: map[place]time.Time{},
		layout:     layout{}, stored: Offsets{}, pace: pace{limit: min(firstPortion, most), most: most, aim: cfg.Timeout / 3},
	}
	for _, name := range outcomes.Topics() {
		c.layout[name] = &topic{name: name}
	}
	c.holds = newHolds(cfg.Topic, c.layout, log)
	return c
}

// revoked forgets what is known of partitions that have been given back: others commit now.
func (c *committer) revoked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.stored)
	c.holds.removeRequests()
	if len(c.doubt) > 0 {
		owned := c.outbox.owned()
		maps.DeleteFunc(c.doubt, func(partition int32, _ kafkawire.OffsetAndMetadata) bool {
			return !slices.Contains(owned, partition)
		})
	}
}

func (c *committer) inDoubt(partition int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, is := c.doubt[partition]
	return is
}

// retry repeats calls until they have a definite answer.
func (c *committer) retry() kafkawire.Retry {
	return kafkawire.Retry{Client: c.wire, Failed: func(err error, before int) {
		c.noteLoss(err)
		if before >= kafkawire.ReportAfter {
			c.failing.note(err) // Commit may go on for long
		}
	}}
}

// noteLoss notes an answer that was lost. Its request may come to a broker late and would count for the next
// transaction of the epoch: an EndTxn would commit half of it, a TxnOffsetCommit would rewind its offsets. So there is
// none.
func (c *committer) noteLoss(err error) {
	if _, answer := errors.AsType[kafka.Error](err); !answer {
		c.answerLost = true
	}
}

// failing is why commits fail. It has a lock of its own, as Status asks while a commit is under way.
type failing struct {
	mu      sync.Mutex
	failure failure // err is nil while commits work
}

// note sets why commits fail; nil: they do not.
func (f *failing) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil || f.failure.err == nil {
		f.failure.since = time.Now()
	}
	f.failure.err = err
}

func (f *failing) status() (since time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure.err != nil {
		since = time.Since(f.failure.since)
	}
	return since, f.failure.err
}
