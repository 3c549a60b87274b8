package deadletter

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

func scan(t testing.TB, broker *kafkatest.Broker, topic string) Scan {
	t.Helper()
	client := kafkawire.NewClient(kafkawire.Settings{Brokers: broker.Brokers(), ClientID: "deadletter-test"}, topic)
	t.Cleanup(client.Close)
	return Scan{Client: client, Topic: topic, From: kafkawire.Earliest}
}

// publish writes letters to partition 0 and 1 in turn.
func publish(t testing.TB, broker *kafkatest.Broker, topic string, n int) {
	t.Helper()
	msgs := make([][]kafka.Message, 2)
	for i := range n {
		l := letter(int64(i), `{"contractId":`+strconv.Itoa(1+i%3)+`,"balanceCodes":["A"]}`)
		m := kafka.Message{Key: l.Key, Value: l.Value, Time: l.Time}
		for _, h := range l.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		msgs[i%2] = append(msgs[i%2], m)
	}
	for p, list := range msgs {
		if len(list) > 0 {
			broker.ProduceTo(t, topic, int32(p), list...)
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 3)
	publish(t, broker, topic, 600)
	s := scan(t, broker, topic)
	var last int64
	s.Progress = func(read int64) { last = read }
	s.Filter.Contracts = []int64{2}
	var offsets []int64
	if err := s.Each(t.Context(), func(l *Letter) error {
		if r, err := l.Request(); err != nil || r.ContractID != 2 || l.Topic != topic {
			t.Errorf("%v: %+v, error %v", l.Position, r, err)
		}
		offsets = append(offsets, l.Info().Source.Offset)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(offsets)
	if len(slices.Compact(offsets)) != 200 || last != 600 {
		t.Errorf("%d letters, %d read", len(offsets), last)
	}
}

// A scan ends with the error of the function that is given the letters, and of an empty topic at once.
func TestScanEnds(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 2)
	s := scan(t, broker, topic)
	never := func(*Letter) error { return errors.New("called") }
	if err := s.Each(t.Context(), never); err != nil {
		t.Errorf("an empty topic: %v", err)
	}
	publish(t, broker, topic, 10)
	full := errors.New("disk full")
	calls := 0
	err := s.Each(t.Context(), func(*Letter) error { calls++; return full })
	if !errors.Is(err, full) || calls != 1 {
		t.Errorf("error %v after %d calls", err, calls)
	}
}

// Whatever is in the topic is a letter: null values, no headers, headers of others.
func TestScanAnything(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	topic := broker.Topic(t, 1)
	broker.ProduceTo(t, topic, 0,
		kafka.Message{Key: []byte("tombstone")},
		kafka.Message{Value: []byte("\xff\x1b[31m")},
		kafka.Message{Value: []byte("x"), Headers: []kafka.Header{
			{Key: schemas.HeaderErrorsTopic, Value: []byte("orders")}, {Key: schemas.HeaderErrorsPartition, Value: []byte("1")},
			{Key: schemas.HeaderErrorsOffset, Value: []byte("9")},
			{Key: schemas.HeaderErrorsMessage, Value: []byte("no such order")},
		}},
	)
	var recognised []bool
	if err := scan(t, broker, topic).Each(t.Context(), func(l *Letter) error {
		recognised = append(recognised, l.Recognised())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(recognised, []bool{false, false, true}) {
		t.Errorf("recognised: %v", recognised)
	}
}
