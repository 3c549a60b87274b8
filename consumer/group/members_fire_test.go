package group

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// lossy wraps listeners: an answer that lose names is lost together with its connection, after the request has been
// carried out. kfake reads a request's size and its body separately, and writes an answer in one piece.
func lossy(lose func(key kmsg.Key, answer []byte) bool) kfake.Opt {
	return kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := kafkatest.Listen(network, address)
		return lossyListener{l, lose}, err
	})
}

type lossyListener struct {
	net.Listener
	lose func(key kmsg.Key, answer []byte) bool
}

func (l lossyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, lose: l.lose}, nil
}

type lossyConn struct {
	net.Conn
	lose func(key kmsg.Key, answer []byte) bool
	key  atomic.Int32 // of the latest request
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 4 { // a body, from its key on
		c.key.Store(int32(b[0])<<8 | int32(b[1]))
	}
	return n, err
}

func (c *lossyConn) Write(b []byte) (int, error) {
	if c.lose(kmsg.Key(c.key.Load()), b) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// fire is a group whose coordinator moves and whose answers get lost while members come and go.
type fire struct {
	t       *testing.T
	kind    kind
	cluster *kfake.Cluster
	ledger  *kafkatest.Ledger
	running []*memberRig
	made    int

	mu   sync.Mutex
	dice *rand.Rand
}

func (f *fire) roll(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dice.IntN(n)
}

func (f *fire) step() {
	switch code := f.roll(8); {
	case len(f.running) == 0 || code < 3 && len(f.running) < 5:
		f.made++
		name := fmt.Sprint(f.made) // static: a dynamic one whose answer is lost leaves a ghost for a session
		change := func(o *memberOptions, owner *testOwner) {
			o.InstanceID, o.LeaveOnStop, o.session = name, true, timeout/2
			// kfake waits for one member too many after one has left while it waited in SyncGroup
			o.RebalanceTimeout = timeout / 4
			owner.Drain = func([]int32) { <-time.After(time.Duration(f.roll(50)) * time.Millisecond) }
		}
		f.running = append(f.running, startMemberOf(f.t, f.kind, settings(f.cluster), f.ledger, name, change))
	case code < 5 && len(f.running) > 1:
		who := f.roll(len(f.running))
		gone := f.running[who]
		f.running = slices.Delete(f.running, who, who+1)
		if err := gone.stop(); err != nil {
			f.t.Error(err)
		}
	case code == 5:
		f.cluster.RehashCoordinators()
	default:
		<-time.After(time.Duration(f.roll(300)) * time.Millisecond)
	}
}

// even says that all partitions are with a member, evenly.
func (f *fire) even(partitions int) func() bool {
	return func() bool {
		var counts []int
		sum := 0
		for _, r := range f.running {
			counts = append(counts, len(f.ledger.Of(r.Name)))
			sum += counts[len(counts)-1]
		}
		return sum == partitions && slices.Max(counts)-slices.Min(counts) <= 1
	}
}

// Whatever happens to the coordinator and to its answers: no partition is ever with two, and in the end all are with
// a member, evenly.
func TestMembersUnderFire(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, k kind) {
		const partitions, steps = 7, 30
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		f := &fire{t: t, kind: k, ledger: kafkatest.NewLedger(), dice: rand.New(rand.NewPCG(seed, 0))}
		var burning atomic.Bool
		f.cluster = memberBroker(t, partitions,
			kfake.BrokerConfigs(map[string]string{"group.consumer.session.timeout.ms": "10000"}),
			lossy(func(key kmsg.Key, _ []byte) bool {
				switch key {
				case kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.LeaveGroup, kmsg.ConsumerGroupHeartbeat,
					kmsg.ConsumerGroupDescribe:
					return burning.Load() && f.roll(6) == 0
				}
				return false
			}))
		defer func() {
			if info := f.cluster.GroupInfo(testGroup); t.Failed() && info != nil {
				for _, m := range info.Members {
					t.Logf("%s: member %s as %s has %v", info.State, m.MemberID, *m.InstanceID, m.Assignment)
				}
				for _, r := range f.running {
					t.Logf("running %s holds %v", r.Name, f.ledger.Of(r.Name))
				}
			}
		}()
		burning.Store(true)
		for range steps {
			f.step()
		}
		burning.Store(false)
		eventually(t, "all partitions are shared out", f.even(partitions))
	})
}
