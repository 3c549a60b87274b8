package cli

import (
	"hash/crc32"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A publisher of Java's and one of librdkafka's: doctor sees in the topic that they take different partitions.
func TestDoctorSeesTwoPartitioners(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, nil)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Broker.Brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	murmur := kgo.StickyKeyPartitioner(nil).ForTopic(c.Requests)
	var records []*kgo.Record
	for i := range 30 {
		key := strconv.Itoa(70_000 + i)
		value := []byte(`{"contractId":"` + key + `","balanceCodes":["AVAILABLE"]}`)
		java := &kgo.Record{Topic: c.Requests, Key: []byte(key), Value: value}
		java.Partition = int32(murmur.Partition(java, 3))
		librdkafka := &kgo.Record{Topic: c.Requests, Key: []byte(key), Value: value,
			Partition: int32(crc32.ChecksumIEEE([]byte(key)) % 3)}
		records = append(records, java, librdkafka)
	}
	if err := cl.ProduceSync(t.Context(), records[:1]...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := c.asJSON("--no-call").find(t, "order"); got.Status != "ok" || got.Fix != "" {
		t.Errorf("one publisher: %+v", got)
	}
	if err := cl.ProduceSync(t.Context(), records[1:]...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := c.asJSON("--no-call").find(t, "order")
	if got.Status != "warn" {
		t.Errorf("two publishers: %+v", got)
	}
	clitest.WantText(t, "the detail", got.Detail, "60 requests of 30 contracts", "stand in several partitions by one key",
		"where murmur2", "CRC32")
	clitest.WantText(t, "the fix", got.Fix, "partitioner=murmur2_random")
}
