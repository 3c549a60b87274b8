package deadletter

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A scan goes on past a record that is too large to be read, and tells of it.
func TestScanOversized(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 2)
	publish(t, broker, topic, 2)
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Brokers()...), kgo.ProducerBatchCompression(kgo.GzipCompression()),
		kgo.ProducerBatchMaxBytes(32<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: make([]byte, 20<<20)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	publish(t, broker, topic, 2)
	s := scan(t, broker, topic)
	read := map[int32][]int64{}
	each := func(l *Letter) error { read[l.Partition] = append(read[l.Partition], l.Offset); return nil }
	if err := s.Each(t.Context(), each); !errors.Is(err, ErrOversized) {
		t.Errorf("error %v", err)
	}
	clear(read)
	var gaps []Gap
	s.Skipped = func(g Gap) { gaps = append(gaps, g) }
	if err := s.Each(t.Context(), each); err != nil || !slices.Equal(read[0], []int64{0, 2}) ||
		!slices.Equal(read[1], []int64{0, 1}) {
		t.Errorf("read %v, error %v", read, err)
	}
	if len(gaps) != 1 || gaps[0].Partition != 0 || gaps[0].From != 1 || gaps[0].To != 2 || !gaps[0].Corrupt() {
		t.Errorf("gaps %+v", gaps)
	}
}
