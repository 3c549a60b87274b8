package tail

import (
	"context"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// within bounds what a test waits for before it says what it saw.
const within = 30 * time.Second

// wire returns a client of the given brokers that is closed with the test.
func wire(tb testing.TB, brokers []string, topics ...string) *kafkawire.Client {
	tb.Helper()
	c := kafkawire.NewClient(kafkawire.Settings{Brokers: brokers, ClientID: "tail-test"}, topics...)
	tb.Cleanup(c.Close)
	return c
}

// embedded starts an in-process cluster whose faults the test controls.
func embedded(tb testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		tb.Fatalf("starting kfake: %v", err)
	}
	tb.Cleanup(cluster.Close)
	return cluster
}

func deadline(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	tb.Cleanup(cancel)
	return ctx
}
