package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

const (
	testTopic   = "requests"
	testGroup   = "balanceq"
	timeout     = 20 * time.Second // of a rebalance
	waitTimeout = time.Minute      // of a test that waits for something that should come at once: the machine may be slow
)

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	kafkatest.Eventually(t, waitTimeout, what, cond)
}

func settings(c *kfake.Cluster) kafkawire.Settings {
	return kafkawire.Settings{Brokers: c.ListenAddrs(), ClientID: "test"}
}

// at is the offset of one partition, without metadata.
func at(partition int32, offset int64) map[int32]kafkawire.OffsetAndMetadata {
	return map[int32]kafkawire.OffsetAndMetadata{partition: {Offset: offset, Epoch: kafkawire.NoEpoch}}
}

// committed is what the broker has for the group.
func committed(t *testing.T, c *kfake.Cluster, partition int32) int64 {
	t.Helper()
	wire := kafkawire.NewClient(settings(c), testTopic)
	defer wire.Close()
	stored, err := wire.CommittedOffsets(t.Context(), testGroup, testTopic, []int32{partition})
	if err != nil {
		t.Fatal(err)
	}
	return stored[partition].Offset
}
