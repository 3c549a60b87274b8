package producer

import (
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// slowLine lets every connection carry so many bytes a second towards the brokers. What of a request is not through
// after most is lost with the connection, as whatever a client has not sent is when it gives up; 0: nothing is.
func slowLine(rate int, most time.Duration) kfake.Opt {
	return kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return slowListener{l, rate, most}, err
	})
}

type slowListener struct {
	net.Listener
	rate int
	most time.Duration
}

func (l slowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &slowConn{Conn: conn, line: l}, err
}

// slowConn is used by one goroutine to read and another to write.
type slowConn struct {
	net.Conn
	line     slowListener
	answered atomic.Bool   // since the last read
	since    time.Time     // when the request that is being read began
	took     time.Duration // what of it has been read takes so long on the line
}

// Read waits until the line has carried what is read, by the line's own clock: a machine that is late here and there
// makes it no slower.
func (c *slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), 16<<10)])
	if c.answered.Swap(false) || c.since.IsZero() {
		c.since, c.took = time.Now(), 0
	}
	c.took += time.Duration(n) * time.Second / time.Duration(c.line.rate)
	if c.line.most > 0 && c.took > c.line.most {
		<-time.After(time.Until(c.since.Add(c.line.most)))
		_ = c.Close()
		return 0, net.ErrClosed
	}
	<-time.After(time.Until(c.since.Add(c.took)))
	return n, err
}

func (c *slowConn) Write(b []byte) (int, error) {
	c.answered.Store(true)
	return c.Conn.Write(b)
}

// letterOf is a dead letter of so many bytes.
func letterOf(b *rig, partition int32, offset int64, size int) (*inflight.Request, schemas.Outcome) {
	req, _ := b.result(partition, offset)
	name := req.Record.String()
	req.Record.Value = fmt.Appendf(nil, "%s%*s", name, max(0, size-len(name)), "")
	return req, schemas.Outcome{DeadLetter: &schemas.DeadLetter{Record: &req.Record, Reason: schemas.ReasonInvalidRequest}}
}

// More is kept than the line carries within the transaction's timeout, and one outcome of it is larger than what goes
// into a portion by then: all is committed, in portions, each with its offset.
func TestTransactionsOnASlowLine(t *testing.T) {
	t.Parallel()
	const timeout, rate, size, each = 3 * time.Second, 350 << 10, 32 << 10, 12
	cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1), slowLine(rate, 0))...)
	b := onEmbedded(t, cluster, func(c *TransactionConfig) { c.Timeout, c.BufferBytes = timeout, 32<<20 })
	kept, asked := 0, map[int32]int64{0: 1}
	for p := range int32(4) {
		for offset := range int64(each) {
			if p == 0 {
				offset++
			}
			n := size
			if p == 2 && offset == 5 {
				n = 600 << 10
			}
			req, out := letterOf(b, p, offset, n)
			if err := b.Write(deadline(t), req, out); err != nil {
				t.Fatal(err)
			}
			kept++
			asked[p] = offset + 1
		}
	}
	all := b.Status().Buffered
	if need := time.Duration(all) * time.Second / rate; need < 3*timeout/2 {
		t.Fatalf("%d bytes take %v: the test proves nothing", all, need)
	}
	last := map[int32]int64{0: 1}
	portions, failures := 0, 0
	kafkatest.Eventually(t, within, "all is committed", func() bool {
		committed, err := b.Commit(deadline(t), outsider(b.group), at(asked))
		if err != nil {
			failures++
		} else {
			portions++
		}
		stored := b.stored(0, 1, 2, 3)
		for p, o := range committed {
			if o.Offset < last[p] || o.Offset != stored[p] {
				t.Errorf("partition %d: %d is said to be committed after %d, %d is", p, o.Offset, last[p], stored[p])
			}
			last[p] = o.Offset
		}
		return last[0] == asked[0] && last[1] == asked[1] && last[2] == asked[2] && last[3] == asked[3]
	})
	t.Logf("%d bytes in %d portions after %d failures; the last limit is %d", all, portions, failures,
		b.committer.pace.limit)
	if portions < 2 {
		t.Error("it was one portion: the test proves nothing")
	}
	if n := len(b.outcomesSeen(true)); n != kept+1 {
		t.Errorf("%d outcomes are seen, want %d", n, kept+1)
	}
}

// together keeps what is written from being sent until release is called, so that the first request carries all
// partitions.
func together(p *Producer) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.topics["topic"].queues {
		q.busy = true
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, q := range p.topics["topic"].queues {
			q.busy = false
			p.schedule(q)
		}
	}
}

// At-least-once: a request that the line does not carry in time becomes smaller ones.
func TestProducerOnASlowLine(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(6, "topic"), slowLine(102<<10, timeout))
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 128 << 10})
	p.timeout = timeout
	release := together(p)
	a := newAcks()
	want := map[int32][]string{}
	// The first request carries a message of all six partitions: it takes 6 s, and one message alone takes one.
	for i, name := range sequence("", 12) {
		value := fmt.Sprintf("%s%*s", name, 100<<10, "")
		write(t, p, "topic", int32(i%6), value, a)
		want[int32(i%6)] = append(want[int32(i%6)], value)
	}
	release()
	a.wait(t, 12)
	a.once(t, 12)
	got := logOf(t, cluster.ListenAddrs(), "topic")
	for partition, values := range want {
		if !slices.Equal(got[partition], values) {
			t.Errorf("partition %d holds %d values, want %d", partition, len(got[partition]), len(values))
		}
	}
	// The first request's six writes fail, and another where the machine held one message up for two seconds. Requests
	// that were sized once and for all made it 30.
	if n := len(obs.seen()); n == 0 || n > 18 {
		t.Errorf("%d writes failed: none proves nothing, many that it has not learnt", n)
	}
}
