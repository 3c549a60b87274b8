package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/app"
	"github.com/balanceq/balanceq/kafkawire"
)

// writeGarbage writes a batch of n records to the requests whose checksum is right and which claims to be gzip. A Kafka
// would refuse it.
func (c *cluster) writeGarbage(partition int32, n int) {
	c.t.Helper()
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: c.ListenAddrs()}, "requests")
	defer wire.Close()
	leaders, _, err := wire.Leaders(c.t.Context(), "requests")
	if err != nil {
		c.t.Fatal(err)
	}
	const crc, attributes = 17, 21
	b := kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1, make([]kafkawire.Record, n), time.Now())
	b[attributes+1] |= 1
	binary.BigEndian.PutUint32(b[crc:], crc32.Checksum(b[attributes:], crc32.MakeTable(crc32.Castagnoli)))
	batch := &kafkawire.Batch{Topic: "requests", Partition: partition, Bytes: b}
	if err := errors.Join(wire.Produce(c.t.Context(), leaders[partition], []*kafkawire.Batch{batch}),
		batch.Err); err != nil {
		c.t.Fatal(err)
	}
}

// command runs a command to its end and returns what it wrote.
func (c *cluster) command(code int, args ...string) string {
	c.t.Helper()
	in := launch(c.t, args...)
	if got := in.wait(waitTimeout).ExitCode(); got != code {
		c.t.Errorf("%v: exit code %d, want %d: %s", args, got, code, in.output.String())
	}
	return in.output.String()
}

// An operator goes past a batch that cannot be read, and past nothing else, in both deliveries, with the instance
// running; the ledger remembers it.
func TestSkip(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.command(0, "topics", "create", "--kafka.brokers="+strings.Join(c.ListenAddrs(), ","), "--topics.requests=requests",
				"--topics.results=results", "--topics.deadletters=deadletters", "--partitions=1", "--replication=1")
			c.ask()
			c.writeGarbage(0, 3)
			c.ask()
			in := launch(t, c.flags("run", "--delivery="+delivery)...).await()
			told := func() bool {
				_, body := in.get("/readyz")
				return strings.Contains(string(body), "balanceq skip --partition 0 --offset 1")
			}
			in.eventually("/readyz says what to do", told)
			in.eventually("the metrics say it",
				func() bool { return in.Metrics()[`balanceq_partition_corrupt{partition="0"}`] == 1 })
			skip := func(code, offset int, more ...string) string {
				flags := []string{"skip", "--kafka.brokers=" + strings.Join(c.ListenAddrs(), ","), "--kafka.group=g",
					"--topics.requests=requests", "--partition=0", fmt.Sprintf("--offset=%d", offset)}
				return c.command(code, append(flags, more...)...)
			}
			for offset, want := range map[int]string{0: "can be read", 4: "can be read", 5: "nothing at offset 5",
				99: "no offset 99"} {
				if said := skip(1, offset, "--execute"); !strings.Contains(said, want) {
					t.Errorf("offset %d: %s", offset, said)
				}
			}
			if said := skip(0, 1); !strings.Contains(said, "offsets 1 to 3 of requests/0 (3 offsets) cannot be read") ||
				!strings.Contains(said, "--execute") {
				t.Errorf("shown: %s", said)
			}
			if !told() {
				t.Error("showing has skipped it")
			}
			if said := skip(0, 1, "--execute"); !strings.Contains(said, "skipped offsets 1 to 3") {
				t.Errorf("done: %s", said)
			}
			in.eventually("it goes on", func() bool {
				offsets := committedOf(t, c)
				return offsets == 5
			})
			in.eventually("the metrics say it", func() bool {
				m := in.Metrics()
				return m["balanceq_offset_jumps_total"] == 1 && m[`balanceq_partition_corrupt{partition="0"}`] == 0
			})
			says(t, in, "an operator has skipped a batch that cannot be read")
			said := c.command(0, "deadletters", "history", "--kafka.brokers="+strings.Join(c.ListenAddrs(), ","),
				"--topics.requests=requests",
				"--topics.results=results", "--topics.deadletters=deadletters")
			if !strings.Contains(said, "skipped offsets 1 to 3 of requests/0 for group g") {
				t.Errorf("history: %s", said)
			}
		})
	}
}

func committedOf(t *testing.T, c *cluster) int64 {
	t.Helper()
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: c.ListenAddrs()}, "requests")
	defer wire.Close()
	offsets, err := wire.CommittedOffsets(t.Context(), "g", "requests", []int32{0})
	if err != nil {
		return kafkawire.NoOffset
	}
	return offsets[0].Offset
}

// The watchdog's look at Kafka tells of the partitions that work, whatever is wrong with another one.
func TestProbeOfEachPartition(t *testing.T) {
	c := newCluster(t)
	c.writeGarbage(0, 2)
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: c.ListenAddrs()}, "requests", "results")
	defer wire.Close()
	there, err := app.KafkaProbe{Wire: wire, Group: "g", Topic: "requests"}.Ask(t.Context(), true,
		map[int32]int64{0: 0, 7: 0})
	if err == nil || !strings.Contains(err.Error(), "partition 7") || there == nil || there[0] {
		t.Errorf("%v, error %v", there, err)
	}
	there, err = app.KafkaProbe{Wire: wire, Group: "g", Topic: "requests"}.Ask(t.Context(), true, map[int32]int64{0: 0})
	if err != nil || there[0] {
		t.Errorf("a batch that cannot be read is no failure of Kafka's: %v, error %v", there, err)
	}
}
