package replay

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// cluster is a broker of the test's own whose faults the test controls.
type cluster struct {
	*kfake.Cluster
	other *kgo.Client // another producer
}

// onCluster makes a cluster of one broker, with n dead letters.
func onCluster(t *testing.T, n int, opts ...kfake.Opt) (*topics, cluster, []*deadletter.Letter) {
	t.Helper()
	opts = append(opts, kfake.NumBrokers(1), kfake.SeedTopics(3, "letters", "requests"), kfake.SeedTopics(1, "ledger"))
	c := kafkatest.Embedded(t, opts...)
	other, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	b := &topics{t, c.ListenAddrs(), Config{Letters: "letters", Requests: "requests", Ledger: "ledger", By: "me@here"}}
	return b, cluster{c, other}, b.fill(cluster{c, other}, n)
}

// ProduceTo writes to a partition.
func (c cluster) ProduceTo(tb testing.TB, topic string, partition int32, msgs ...kafka.Message) []kafka.Message {
	tb.Helper()
	var recs []*kgo.Record
	for _, m := range msgs {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader(h))
		}
		recs = append(recs, r)
	}
	if err := c.other.ProduceSync(tb.Context(), recs...).FirstErr(); err != nil {
		tb.Fatal(err)
	}
	return msgs
}

// ReadAll returns what a read-committed reader sees up to the present end, in the order of each partition.
func (c cluster) ReadAll(tb testing.TB, topic string) (msgs []kafka.Message) {
	tb.Helper()
	ends, at := map[int32]int64{}, map[int32]int64{}
	for _, p := range c.PartitionInfos(topic) {
		if p.LastStableOffset < p.HighWatermark {
			tb.Errorf("a transaction is left open in %s/%d", topic, p.Partition)
		}
		ends[p.Partition] = p.LastStableOffset
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	defer cl.Close()
	behind := func() bool {
		for p, end := range ends {
			if at[p] < end {
				return true
			}
		}
		return false
	}
	for behind() {
		fetches := cl.PollFetches(tb.Context())
		if err := fetches.Err0(); err != nil {
			tb.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if at[r.Partition] = r.Offset + 1; r.Attrs.IsControl() {
				return
			}
			m := kafka.Message{Topic: topic, Partition: int(r.Partition), Offset: r.Offset, Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				m.Headers = append(m.Headers, kafka.Header(h))
			}
			msgs = append(msgs, m)
		})
	}
	return msgs
}

// cut has requests of a key lost, together with their connection, as long as lose says so.
func (c cluster) cut(key kmsg.Key, lose func() bool) {
	c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if lose() {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
}

// tap loses the answers to requests of a key after they were applied, together with their connection, as long as lose
// says so.
func tap(lose func(key kmsg.Key) bool) kfake.Opt {
	return kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return tapListener{l, lose}, err
	})
}

type tapListener struct {
	net.Listener
	lose func(kmsg.Key) bool
}

func (l tapListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tapConn{Conn: conn, lose: l.lose}, nil
}

// tapConn follows the requests. kfake answers one of a connection after the other, and writes an answer in one piece.
type tapConn struct {
	net.Conn
	lose func(kmsg.Key) bool
	in   []byte
	key  atomic.Int32 // of the latest request
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
	}
	return n, err
}

func (c *tapConn) Write(b []byte) (int, error) {
	if c.lose(kmsg.Key(c.key.Load())) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// prepare makes letters ready to be put back.
func prepare(r *Run, letters []*deadletter.Letter) []*Candidate {
	var chunk []*Candidate
	for _, l := range letters {
		chunk = append(chunk, r.Prepare(l))
	}
	return chunk
}

// mustRun begins a replay of that name.
func (b *topics) mustRun(name string) *Run {
	b.Helper()
	r, err := b.run(b.Context(), name)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// mustPut replays letters and says how many were left.
func (b *topics) mustPut(r *Run, letters []*deadletter.Letter, size, want int) {
	b.Helper()
	if replayed, err := put(b.Context(), r, letters, size); err != nil || len(replayed) != want {
		b.Fatalf("%d replayed, want %d, error %v", len(replayed), want, err)
	}
}
