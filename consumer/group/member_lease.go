package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
)

// errLost is what a commit of partitions says that the group has taken away.
var errLost = errors.New("the group has given these partitions to somebody else")

type offsets = map[int32]kafkawire.OffsetAndMetadata

// commits is how a kind of member commits.
type commits struct {
	wire     *kafkawire.Client
	send     func(c *kafkawire.Client, ctx context.Context, m kafkawire.Member, topic string, o offsets) error
	topic    string
	outdated []error       // says the group when we have not heard of a newer generation yet: it takes the commit under that
	hurry    func()        // has the member hear of it soon
	patience time.Duration // with a rebalance
}

// memberLease commits under the generation that is current when it does: it lasts for as long as the member is never
// without its place.
type memberLease struct {
	commits
	identity *identity

	once sync.Once
	lost chan struct{}    // closed when the group has taken everything away
	was  kafkawire.Member // who we were then; read it only after that
}

var _ Lease = (*memberLease)(nil)

func newLease(c commits, i *identity) *memberLease {
	return &memberLease{commits: c, identity: i, lost: make(chan struct{})}
}

const (
	tryTimeout  = 5 * time.Second        // of one try to commit
	commitPause = 100 * time.Millisecond // before it is tried again, unless the generation changes first
	shortOutage = 2 * time.Second        // of brokers; who wants to know about a longer one is not kept waiting
)

// Member returns who we are now, for commits that are part of a transaction; once all is lost, who we were: the group
// refuses that one, but would accept what we have become since.
func (e *memberLease) Member() kafkawire.Member {
	member, _ := e.identity.get() // before lost is looked at: a new identity comes after a loss
	select {
	case <-e.lost:
		return e.was
	default:
		return member.Member
	}
}

// Lost implements Epoch.
func (e *memberLease) Lost() <-chan struct{} { return e.lost }

// lose ends the epoch.
func (e *memberLease) lose() {
	e.once.Do(func() {
		member, _ := e.identity.get()
		e.was = member.Member
		close(e.lost)
	})
}

// Commit implements Epoch. The last commit of partitions that are given back comes in the middle of a rebalance, when the
// group may accept none from anybody, or none under the generation that we know. Both pass. Whether the partitions are
// lost shows elsewhere.
func (e *memberLease) Commit(ctx context.Context, o offsets) error {
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	began := time.Now()
	for {
		_, changed := e.identity.get()
		member := e.Member()
		select {
		case <-e.lost:
			return fmt.Errorf("committing offsets: %w", errLost)
		default:
		}
		try, cancelTry := context.WithTimeout(ctx, tryTimeout)
		err := e.send(e.wire, try, member, e.topic, o)
		cancelTry()
		if err == nil {
			return nil
		}
		if slices.ContainsFunc(e.outdated, func(target error) bool { return errors.Is(err, target) }) {
			e.hurry()
		} else {
			e.wire.Reset()
			if !kafkawire.Transient(err) || time.Since(began) > shortOutage {
				return err
			}
		}
		pause := time.NewTimer(commitPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-changed:
		case <-pause.C:
		}
		pause.Stop()
	}
}
