package inspect

import (
	"context"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// within bounds what a test waits for before it says what it saw.
const within = 30 * time.Second

// wire returns a client of the given brokers that is closed with the test.
func wire(tb testing.TB, brokers []string, topics ...string) *kafkawire.Client {
	settings := kafkawire.Settings{Brokers: brokers, ClientID: "inspect-test"}
	return kafkatest.Closing(tb, kafkawire.NewClient(settings, topics...))
}

func deadline(tb testing.TB) context.Context { return kafkatest.Deadline(tb, within) }
