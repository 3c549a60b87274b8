package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// Config says where letters come from and go to, and what the ledger is to say about it.
type Config struct {
	Letters, Requests, Ledger string // topics
	Run                       string // names this run: unique
	By                        string // user@host
	Filter                    string // the flags that chose the letters
	// Retrying, if set, is told of errors that are waited out.
	Retrying func(error)
	// Trace, if set, is told of each letter that is made ready. It returns the trace context that the request is to
	// carry, and what to call when that stands on its topic.
	Trace func(letter *schemas.Record) (carries schemas.Trace, written func())
}

// Run puts the requests of dead letters back, each exactly once, whatever is killed and however many runs there are.
//
// Requests and ledger entries go out in one transaction. All runs share one transactional id, so that a run that begins
// fences the one before it and ends its open transaction; then the ledger says what has been replayed. After an error
// the same is done again: whether a transaction was committed whose answer was lost is what the ledger says.
type Run struct {
	cfg        Config
	wire       *kafkawire.Client
	ledger     ledger.Reader
	partitions int    // of the request topic
	topicID    string // of the dead-letter topic
	// Replayed are all letters in the ledger.
	Replayed *deadletter.Positions
	own      map[schemas.Position]schemas.Position // letters of this run that the ledger was found to have

	retry     kafkawire.Retry
	epochs    kafkawire.Epochs
	txn       kafkawire.Transactional
	ready     bool // txn can begin a transaction; otherwise fence first
	doubt     int  // so many letters were in the last transaction, and only the ledger says whether it was committed
	sequences map[partition]int32
	end       int64         // of the ledger, as far as it has been read or written
	pause     time.Duration // after an error that passes
}

type partition struct {
	topic  string
	number int32
}

// How much to Put at once, at most. A single larger letter makes a transaction of its own.
const (
	MaxChunk      = 1000
	MaxChunkBytes = 512 << 10
)

// Candidate is a letter whose request is put back.
type Candidate struct {
	Letter  *deadletter.Letter
	Message schemas.Message
	Changes []ledger.Change  // what was edited
	Request schemas.Position // where the request stands now: set by Put
	rekeyed bool
	written func() // nil: not traced
}

const (
	transactionTimeout = 10 * time.Second // readers of the request topic wait so long for what a killed run has left open

	retryPause = 200 * time.Millisecond
)

// ErrFenced says that another run has begun and has fenced this one, which is over.
var ErrFenced = errors.New("another replay has begun and has fenced this one")

// errHidden says that the ledger has more than could be read.
var errHidden = errors.New(
	"the transaction of another program is open in the topic and hides what was replayed, or something else " +
		"writes to it; try again in a minute, and if it stays so, find and end that transaction with kafka-transactions.sh")

// maxHidden is how often a ledger is read again that has grown meanwhile.
const maxHidden = 5

// Begin fences any other run and reads the ledger. The clients are for this run alone.
func Begin(ctx context.Context, cfg Config, wire, reading *kafkawire.Client) (*Run, error) {
	r := &Run{
		cfg: cfg, wire: wire, ledger: ledger.Reader{Client: reading, Topic: cfg.Ledger},
		retry:    kafkawire.Retry{Client: wire},
		epochs:   kafkawire.Epochs{ID: TransactionalID(cfg.Ledger), Timeout: transactionTimeout},
		Replayed: &deadletter.Positions{}, own: map[schemas.Position]schemas.Position{}, pause: retryPause,
	}
	r.retry.Failed = func(err error, _ int) {
		if cfg.Retrying != nil {
			cfg.Retrying(err)
		}
	}
	id, err := wire.TopicID(ctx, cfg.Letters)
	if err != nil {
		return nil, err
	}
	r.topicID = id.String()
	if _, r.partitions, err = wire.Leaders(ctx, cfg.Requests); err != nil {
		return nil, err
	}
	for {
		err := r.fence(ctx)
		if err == nil || !r.passes(ctx, err) {
			return r, err
		}
	}
}

// passes waits a moment after an error that passes by itself.
func (r *Run) passes(ctx context.Context, err error) bool {
	transient := kafkawire.Transient(err) || kafkawire.ProducerStateLost(err) || kafkawire.ConcurrentTransactions(err)
	if errors.Is(err, ledger.ErrUnreadable) || !transient {
		return false
	}
	if r.cfg.Retrying != nil {
		r.cfg.Retrying(err)
	}
	r.wire.Reset()
	return wait.Sleep(ctx, r.pause)
}

// fence ends whatever was open under the transactional id, so that the ledger has all that was committed, and reads it:
// it makes this run the only one.
func (r *Run) fence(ctx context.Context) error {
	if err := r.initProducer(ctx); err != nil {
		return err
	}
	ends, err := r.ledger.Client.ListOffsets(ctx, r.cfg.Ledger, []int32{ledger.Partition}, kafkawire.Latest)
	if err != nil {
		return err
	}
	r.end = ends[ledger.Partition]
	r.sequences = map[partition]int32{}
	err = r.ledger.Read(ctx, func(e *ledger.Entry) error {
		if !e.About(r.cfg.Letters, r.topicID) {
			return nil
		}
		// those of other runs are not this caller's
		if e.Run == r.cfg.Run && !r.Replayed.Has(e.Letter.Partition, e.Letter.Offset) {
			r.own[e.Letter] = e.Request
		}
		r.Replayed.Add(e.Letter.Partition, e.Letter.Offset)
		return nil
	})
	if r.ready = err == nil; r.ready {
		r.doubt = 0
	}
	return err
}

// Prepare makes ready what Put puts back. It keeps a copy of the letter.
func (r *Run) Prepare(l *deadletter.Letter) *Candidate {
	a := &Candidate{Letter: l.Clone()}
	var carries schemas.Trace
	if r.cfg.Trace != nil {
		carries, a.written = r.cfg.Trace(a.Letter.Record)
	}
	a.Message = schemas.ReplayMessage(a.Letter.Record, r.cfg.Run, carries)
	return a
}

// Size is about what its message takes, in bytes.
func (a *Candidate) Size() int { return messageSize(a.Message) }

// Put puts letters back in one transaction, in their order, and sets where their requests stand now. Those that were
// replayed already, by another run, are left out of what it returns. Errors that pass are waited out until ctx ends;
// once begun, a transaction is not interrupted. With an error it returns those that were put back all the same: where
// the topics take only smaller transactions, those before a letter that does not fit at all, which the error names, but
// none behind it. Where only the ledger knows of more, the error says so.
func (r *Run) Put(ctx context.Context, chunk []*Candidate) ([]*Candidate, error) {
	placed, err := r.put(ctx, chunk)
	for _, a := range placed {
		if a.written != nil {
			a.written()
		}
	}
	return placed, err
}

func (r *Run) put(ctx context.Context, chunk []*Candidate) ([]*Candidate, error) {
	for hidden := 1; ; {
		if !r.ready {
			if err := r.fence(ctx); err != nil {
				if r.passes(ctx, err) {
					continue
				}
				return nil, r.inDoubt(err)
			}
		}
		done, open := r.split(chunk)
		if len(open) == 0 {
			return done, nil
		}
		began := time.Now()
		err := r.transact(context.WithoutCancel(ctx), open)
		switch {
		case err == nil:
			for _, a := range open {
				r.Replayed.Add(a.Letter.Partition, a.Letter.Offset)
			}
			return append(done, open...), nil
		case kafkawire.Fenced(err) && time.Since(began) < transactionTimeout/2: // else the coordinator's timeout has ended it
			return done, ErrFenced
		case errors.Is(err, errHidden) && hidden >= maxHidden:
			return done, err
		case errors.Is(err, errHidden):
			hidden++
			wait.Sleep(ctx, r.pause)
		case kafkawire.TooLarge(err) && len(open) > 1:
			return r.halve(ctx, open, done)
		case kafkawire.TooLarge(err):
			return done, fmt.Errorf("dead letter %s does not fit: %w", open[0].Letter.Position, err)
		case !r.passes(ctx, err):
			return done, r.inDoubt(err)
		}
	}
}

// inDoubt adds to an error that it is not known what became of the last transaction.
func (r *Run) inDoubt(err error) error {
	if r.doubt == 0 {
		return err
	}
	return fmt.Errorf("%w; whether the last %d were replayed, the history will say", err, r.doubt)
}

// split separates what this run has already put back from what is still to be done.
func (r *Run) split(chunk []*Candidate) (done, open []*Candidate) {
	for _, a := range chunk {
		if at, replayed := r.own[a.Letter.Position]; replayed {
			a.Request = at
			done = append(done, a)
		} else if !r.Replayed.Has(a.Letter.Partition, a.Letter.Offset) {
			open = append(open, a)
		}
	}
	return done, open
}

// halve is Put for a topic that takes smaller batches.
func (r *Run) halve(ctx context.Context, chunk, done []*Candidate) ([]*Candidate, error) {
	for _, half := range [][]*Candidate{chunk[:len(chunk)/2], chunk[len(chunk)/2:]} {
		put, err := r.put(ctx, half)
		done = append(done, put...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
