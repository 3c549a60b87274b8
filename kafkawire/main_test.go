package kafkawire

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// within bounds what a test waits for before it says what it saw.
const within = 2 * time.Minute

// wire returns a client of the given brokers that is closed with the test.
func wire(tb testing.TB, brokers []string, topics ...string) *Client {
	return kafkatest.Closing(tb, NewClient(Settings{Brokers: brokers, ClientID: "wire-test"}, topics...))
}

// oracle is franz-go's client, which shares no code with kafkawire but the message codec.
func oracle(tb testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)
	if err != nil {
		tb.Fatalf("making a kgo client: %v", err)
	}
	tb.Cleanup(cl.Close)
	return cl
}

func deadline(tb testing.TB) context.Context { return kafkatest.Deadline(tb, within) }

// leaderOf waits for the leader of partition 0; a topic just made may not have one yet.
func leaderOf(tb testing.TB, c *Client, topic string) int32 {
	tb.Helper()
	var leader int32
	kafkatest.Eventually(tb, within, "a leader of "+topic, func() bool {
		leaders, _, err := c.Leaders(tb.Context(), topic)
		if err != nil {
			c.Reset()
			return false
		}
		var ok bool
		leader, ok = leaders[0]
		return ok
	})
	return leader
}

// describe makes records comparable: null differs from empty.
func describe(r *Record) string {
	s := fmt.Sprintf("%d@%d %s=%s", r.Offset, r.Time.UnixMilli(), nullable(r.Key), nullable(r.Value))
	for _, h := range r.Headers {
		s += fmt.Sprintf(" %q:%s", h.Key, nullable(h.Value))
	}
	return s
}

func nullable(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

// fetchAll fetches partition 0 from its beginning until there are n records.
func fetchAll(tb testing.TB, c *Client, topic string, n int) []Record {
	tb.Helper()
	var records []Record
	next := int64(0)
	kafkatest.Eventually(tb, within, fmt.Sprintf("%d records of %s", n, topic), func() bool {
		fetched, err := c.Fetch(tb.Context(), leaderOf(tb, c, topic), topic, map[int32]int64{0: next},
			FetchLimits{MaxWait: 100 * time.Millisecond, MaxBytes: 1 << 20, PartitionMaxBytes: 1 << 18})
		if err != nil || len(fetched) != 1 || fetched[0].Err != nil {
			c.Reset()
			return false
		}
		records, next = append(records, fetched[0].Records...), fetched[0].Next
		return len(records) >= n
	})
	return records
}
