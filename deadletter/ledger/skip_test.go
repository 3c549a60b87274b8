package ledger

import (
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// A skip that is recorded is found by its group, for its topic as it is now and for the offsets that it covers; it is
// no replay.
func TestSkips(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	requests, topic := broker.Topic(t, 3), broker.Topic(t, 1)
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: broker.Brokers(), ClientID: "ledger-test"}, requests, topic)
	t.Cleanup(wire.Close)
	id, err := wire.TopicID(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	skip := Skip{Run: "r", Time: time.Now(), By: "ann@host", Group: "g", Topic: requests, TopicID: id.String(),
		Partition: 1, From: 10, To: 13, Why: "why"}
	earlier := skip
	earlier.TopicID = "another" // the topic has been made again since
	for _, s := range []Skip{earlier, skip} {
		if err := s.Record(t.Context(), wire, topic); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		group     string
		partition int32
		offset    int64
		to        int64 // 0: not skipped
	}{
		"first": {"g", 1, 10, 13}, "inside": {"g", 1, 12, 13}, "behind": {"g", 1, 13, 0}, "before": {"g", 1, 9, 0},
		"another partition": {"g", 0, 10, 0}, "another group": {"h", 1, 10, 0},
	} {
		s := Skips{Wire: wire, Group: c.group, Topic: requests, Ledger: topic}
		for range 2 { // the second time nothing new is in the ledger
			to, by, ok, err := s.Skip(t.Context(), c.partition, c.offset)
			if err != nil || ok != (c.to > 0) || to != c.to || ok && by != "ann@host" {
				t.Errorf("%s: to %d, by %q, %t, %v", name, to, by, ok, err)
			}
		}
	}
	var seen []*Skip
	l := Reader{Client: wire, Topic: topic, Skipped: func(s *Skip) { seen = append(seen, s) }}
	if err := l.Read(t.Context(), func(e *Entry) error {
		t.Errorf("an entry: %+v", e)
		return nil
	}); err != nil || len(seen) != 2 || l.Foreign != 0 {
		t.Errorf("%d skips, %d foreign records, %v", len(seen), l.Foreign, err)
	}
	if s := seen[len(seen)-1]; s.Time.UnixMilli() != skip.Time.UnixMilli() || s.Why != "why" || s.From != 10 ||
		s.To != 13 {
		t.Errorf("it reads %+v", s)
	}
}
