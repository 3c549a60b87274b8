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

// errLost is the error of commits of partitions that the group has taken away.
var errLost = errors.New("the group has given these partitions to another member")

type offsets = map[int32]kafkawire.OffsetAndMetadata

// commits is how a kind of member commits.
type commits struct {
	wire  *kafkawire.Client
	send  func(c *kafkawire.Client, ctx context.Context, m kafkawire.Member, topic string, o offsets) error
	topic string
	// outdated are the errors of a group that has a generation that this member has not heard of yet: it accepts the
	// commit under that one.
	outdated []error
	hurry    func()        // has the member hear of a newer generation soon
	timeout  time.Duration // of a rebalance that a commit waits for
}

// memberLease commits under the generation that is current when it does: it lasts for as long as the member stays in
// the group.
type memberLease struct {
	commits
	identity *identity

	once sync.Once
	lost chan struct{}    // closed when the group has taken everything away
	was  kafkawire.Member // the member then; read it only after that
}

var _ Lease = (*memberLease)(nil)

func newLease(c commits, i *identity) *memberLease {
	return &memberLease{commits: c, identity: i, lost: make(chan struct{})}
}

const (
	tryTimeout  = 5 * time.Second        // of one try to commit
	commitPause = 100 * time.Millisecond // before it is tried again, unless the generation changes first
	shortOutage = 2 * time.Second        // of brokers that a commit waits out; a longer one is the caller's decision
)

// Member returns the member as it is now, for commits that are part of a transaction; once all is lost, as it was: the
// group refuses that one, but would accept what it has become since.
func (l *memberLease) Member() kafkawire.Member {
	member, _ := l.identity.get() // before lost is looked at: a new identity comes after a loss
	select {
	case <-l.lost:
		return l.was
	default:
		return member.Member
	}
}

// Lost implements Lease.
func (l *memberLease) Lost() <-chan struct{} { return l.lost }

// lose ends the lease.
func (l *memberLease) lose() {
	l.once.Do(func() {
		member, _ := l.identity.get()
		l.was = member.Member
		close(l.lost)
	})
}

// Commit implements Lease. The last commit of partitions that are given back comes in the middle of a rebalance, when
// the group may accept none of any member, or none under the generation that this one knows. Both pass. Whether the
// partitions are lost shows elsewhere.
func (l *memberLease) Commit(ctx context.Context, o offsets) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	began := time.Now()
	for {
		_, changed := l.identity.get()
		member := l.Member()
		select {
		case <-l.lost:
			return fmt.Errorf("committing offsets: %w", errLost)
		default:
		}
		try, cancelTry := context.WithTimeout(ctx, tryTimeout)
		err := l.send(l.wire, try, member, l.topic, o)
		cancelTry()
		if err == nil {
			return nil
		}
		if slices.ContainsFunc(l.outdated, func(target error) bool { return errors.Is(err, target) }) {
			l.hurry()
		} else {
			l.wire.Reset()
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
