package replay

import (
	"testing"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// letter is what balanceq writes about a request at this position of balance.requests.
func letter(offset int64, value string, change ...func(*schemas.DeadLetter)) *deadletter.Letter {
	d := &schemas.DeadLetter{
		Record: &schemas.Record{
			Position: schemas.Position{Topic: "balance.requests", Partition: 1, Offset: offset}, Value: []byte(value),
		},
		Reason: schemas.ReasonContractNotFound, DecidedAt: noon,
	}
	for _, c := range change {
		c(d)
	}
	m := d.Message(schemas.Origin{Group: "balanceq"})
	return deadletter.Read(&schemas.Record{
		Position: schemas.Position{Topic: "balance.deadletters", Partition: 2, Offset: 100 + offset},
		Key:      m.Key, Value: m.Value, Headers: m.Headers, Time: m.Time,
	})
}
