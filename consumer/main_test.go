package consumer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

const (
	testTopic   = "requests"
	testGroup   = "balanceq"
	testTimeout = 20 * time.Second // of drains and rebalances
	waitTimeout = time.Minute      // of a test that waits for something that should come at once: the machine may be slow
)

// eventually waits for cond without guessing how long it takes.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	timeout := time.NewTimer(waitTimeout)
	defer timeout.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("not within %v: %s", waitTimeout, what)
		}
	}
}

// broker is kfake with the topic in it. It listens below the ephemeral ports.
func broker(t *testing.T, partitions int32, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	return kafkatest.Embedded(t, append(opts, kfake.SeedTopics(partitions, testTopic))...)
}

func settings(c *kfake.Cluster) kafkawire.Settings {
	return kafkawire.Settings{Brokers: c.ListenAddrs(), ClientID: "test"}
}

// produce writes values to one partition.
func produce(t *testing.T, c *kfake.Cluster, partition int32, values ...string) {
	t.Helper()
	withClient(t, c, func(cl *kgo.Client) error {
		return cl.ProduceSync(t.Context(), records(partition, values)...).FirstErr()
	})
}

// produceTransaction does the same in a transaction, which leaves a control record behind.
func produceTransaction(t *testing.T, c *kfake.Cluster, partition int32, commit bool, values ...string) {
	t.Helper()
	withClient(t, c, func(cl *kgo.Client) error {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		if err := cl.ProduceSync(t.Context(), records(partition, values)...).FirstErr(); err != nil {
			return err
		}
		return cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit))
	}, kgo.TransactionalID("txn-"+values[0]))
}

func withClient(t *testing.T, c *kfake.Cluster, do func(*kgo.Client) error, opts ...kgo.Opt) {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := do(cl); err != nil {
		t.Fatal(err)
	}
}

func records(partition int32, values []string) []*kgo.Record {
	list := make([]*kgo.Record, len(values))
	for i, v := range values {
		list[i] = &kgo.Record{Topic: testTopic, Partition: partition, Value: []byte(v)}
	}
	return list
}

// requests makes n valid requests of contracts from…from+n-1.
func requests(from, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"contractId":"%d","balanceCodes":["AVAILABLE"]}`, from+i)
	}
	return list
}

// at is the offset of one partition, without metadata.
func at(partition int32, offset int64) map[int32]kafkawire.OffsetAndMetadata {
	return map[int32]kafkawire.OffsetAndMetadata{partition: {Offset: offset, Epoch: kafkawire.NoEpoch}}
}

// fakeLease remembers what was committed under it.
type fakeLease struct {
	before func(offsets map[int32]kafkawire.OffsetAndMetadata) error // called first; an error is the commit's

	mu      sync.Mutex
	history []map[int32]kafkawire.OffsetAndMetadata
}

func (e *fakeLease) Commit(_ context.Context, offsets map[int32]kafkawire.OffsetAndMetadata) error {
	if e.before != nil {
		if err := e.before(offsets); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.history = append(e.history, maps.Clone(offsets))
	return nil
}

func (e *fakeLease) Lost() <-chan struct{} { return nil }

func (e *fakeLease) Member() kafkawire.Member {
	return kafkawire.Member{Group: testGroup, ID: "m", Generation: 3}
}

// offset returns what the partition's last commit said; NoOffset: there was none.
func (e *fakeLease) offset(partition int32) int64 { return e.last(partition).Offset }

// last returns the partition's last commit.
func (e *fakeLease) last(partition int32) kafkawire.OffsetAndMetadata {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, offsets := range slices.Backward(e.history) {
		if o, ok := offsets[partition]; ok {
			return o
		}
	}
	return kafkawire.OffsetAndMetadata{Offset: kafkawire.NoOffset}
}

func (e *fakeLease) commits() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.history)
}
