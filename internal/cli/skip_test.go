package cli

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// A batch whose head does not say where it ends is skipped up to the next one that can be read, and no further.
func TestUnreadable(t *testing.T) {
	batch := func(base int64, n int) []byte {
		b := kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1, make([]kafkawire.Record, n), time.Now())
		binary.BigEndian.PutUint64(b, uint64(base))
		return b
	}
	const magic, last = 16, 61
	old, torn := batch(2, 3), batch(2, 3)
	old[magic] = 1
	torn[last] ^= 1
	for name, c := range map[string]struct {
		bad    []byte
		offset int64
		to     int64
	}{
		"an old format":           {old, 2, 5},
		"an old format, inside":   {old, 3, 5},
		"a wrong checksum":        {torn, 2, 5},
		"a wrong checksum inside": {torn, 4, 5},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "topic"))
			cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				fetch, is := req.(*kmsg.FetchRequest)
				if !is {
					return nil, nil, false
				}
				resp := kmsg.NewPtrFetchResponse()
				resp.Version = fetch.Version
				p := kmsg.NewFetchResponseTopicPartition()
				switch from := fetch.Topics[0].Partitions[0].FetchOffset; {
				case from < 5:
					p.RecordBatches = append(append(p.RecordBatches, c.bad...), batch(5, 1)...)
				default:
					p.RecordBatches = batch(5, 1)
				}
				answer := kmsg.NewFetchResponseTopic()
				answer.Topic, answer.TopicID = fetch.Topics[0].Topic, fetch.Topics[0].TopicID
				answer.Partitions = append(answer.Partitions, p)
				resp.Topics = append(resp.Topics, answer)
				return resp, nil, true
			})
			wire := kafkawire.NewClient(kafkawire.Settings{Brokers: cluster.ListenAddrs()}, "topic")
			defer wire.Close()
			gap, why, err := unreadable(t.Context(), wire, "topic", 0, c.offset)
			if err != nil || why == nil || gap.From != c.offset || gap.To != c.to {
				t.Errorf("offsets %d to %d, because of %v; error %v", gap.From, gap.To, why, err)
			}
			if _, _, err := unreadable(t.Context(), wire, "topic", 0, 5); err == nil {
				t.Error("what can be read is called unreadable")
			}
		})
	}
}
