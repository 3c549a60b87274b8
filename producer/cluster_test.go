package producer

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// sent is one batch of a produce request.
type sent struct {
	partition int32
	id        int64
	sequence  int32
	records   int32
	bytes     string
}

// capture notes every batch that reaches the cluster, until the cluster ends.
func capture(tb testing.TB, cluster *kfake.Cluster) func() []sent {
	tb.Helper()
	var mu sync.Mutex
	var all []sent
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			for _, p := range t.Partitions {
				var b kmsg.RecordBatch
				if err := b.ReadFrom(p.Records); err != nil {
					tb.Errorf("a produce request holds no batch: %v", err)
				}
				all = append(all, sent{p.Partition, b.ProducerID, b.FirstSequence, b.NumRecords, string(p.Records)})
			}
		}
		return nil, nil, false
	})
	return func() []sent {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// holding starts a cluster that keeps produce requests unread, and so unapplied and unanswered, until release is
// called; node is the broker that does so, allNodes all of them. (kfake's own SleepControl deadlocks when two sleepers
// wake at once.)
func holding(tb testing.TB, node int, opts ...kfake.Opt) (cluster *kfake.Cluster, held func() int, release func()) {
	tb.Helper()
	gate := make(chan struct{})
	var n, nodes atomic.Int32
	cluster = kafkatest.Embedded(tb, append(opts, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		self := int(nodes.Add(1)) - 1 // they start in the order of their numbers
		return tapListener{Listener: l, arrived: func(key int16) {
			if key != int16(kmsg.Produce) || node != allNodes && node != self {
				return
			}
			select {
			case <-gate:
			default:
				n.Add(1)
				<-gate
			}
		}}, err
	}))...)
	release = sync.OnceFunc(func() { close(gate) })
	tb.Cleanup(release)
	return cluster, func() int { return int(n.Load()) }, release
}

const allNodes = -1

// tap wraps a listener: cut decides, after a request of that key was applied, whether its answer is lost together with
// the connection.
func tap(cut func(key int16) bool) kfake.Opt {
	return kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return tapListener{Listener: l, cut: cut}, err
	})
}

type tapListener struct {
	net.Listener
	cut     func(key int16) bool // nil: no answer is lost
	arrived func(key int16)      // is called when a request has arrived, and may keep it from being read; may be nil
}

func (l tapListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tapConn{Conn: conn, tap: l}, nil
}

// tapConn follows the requests that come in. kfake reads a request's size and its body separately, answers one request
// of a connection after the other, and writes an answer in one piece.
type tapConn struct {
	net.Conn
	tap tapListener
	in  []byte
	key atomic.Int32 // of the latest request
}

func (c *tapConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in = append(c.in, b[:n]...)
	for len(c.in) >= 6 {
		size := 4 + (int(c.in[0])<<24 | int(c.in[1])<<16 | int(c.in[2])<<8 | int(c.in[3]))
		if len(c.in) < size {
			break
		}
		c.key.Store(int32(c.in[4])<<8 | int32(c.in[5]))
		c.in = c.in[size:]
		if c.tap.arrived != nil {
			c.tap.arrived(int16(c.key.Load()))
		}
	}
	return n, err
}

func (c *tapConn) Write(b []byte) (int, error) {
	if c.tap.cut != nil && c.tap.cut(int16(c.key.Load())) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}
