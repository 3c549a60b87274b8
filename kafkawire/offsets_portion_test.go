package kafkawire

import (
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// Portions are all of it, none twice, each within the limit, and no more of them than needed.
func TestCommitPortions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		offsets := map[int32]OffsetAndMetadata{}
		total := 0
		for p := range rapid.Int32Range(0, 5000).Draw(rt, "partitions") {
			n := rapid.SampledFrom([]int{0, 43, 4000}).Draw(rt, "metadata")
			offsets[p] = OffsetAndMetadata{Offset: int64(p), Metadata: strings.Repeat("x", n)}
			total += commitRecord + len("group") + len("topic") + n
		}
		got, portions := map[int32]OffsetAndMetadata{}, 0
		for portion := range commitPortions("group", "topic", offsets) {
			portions++
			size := 0
			for p, o := range portion {
				if _, twice := got[p]; twice {
					rt.Fatalf("partition %d is committed twice", p)
				}
				size += commitRecord + len("group") + len("topic") + len(o.Metadata)
			}
			maps.Copy(got, portion)
			if size > maxCommit {
				rt.Fatalf("%d bytes in a portion", size)
			}
		}
		if !maps.Equal(got, offsets) {
			rt.Fatalf("%d of %d partitions are in portions", len(got), len(offsets))
		}
		if portions > 1+total/(maxCommit-5000) {
			rt.Fatalf("%d portions of %d bytes", portions, total)
		}
	})
}

// A broker takes a commit of more than fits into one message of its internal topic: 400 partitions with full metadata
// are 1.6 MB.
func TestCommitOfManyPartitions(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	const n = 400
	topic := broker.Topic(t, n)
	c := wire(t, broker.Brokers(), topic)
	offsets := map[int32]OffsetAndMetadata{}
	var ids []int32
	for p := range int32(n) {
		ids = append(ids, p)
		offsets[p] = OffsetAndMetadata{Offset: int64(p) + 1, Epoch: NoEpoch, Metadata: strings.Repeat("x", 4000)}
	}
	kafkatest.Eventually(t, within, "it is committed", func() bool {
		err := c.CommitOffsets(deadline(t), Member{Group: topic, Generation: -1}, topic, offsets)
		if err != nil && !Transient(err) {
			t.Fatal(err)
		}
		return err == nil
	})
	got, err := c.CommittedOffsets(deadline(t), topic, topic, ids)
	if err != nil || len(got) != n {
		t.Fatalf("%d committed, error %v", len(got), err)
	}
	for p, o := range got {
		if o.Offset != int64(p)+1 || len(o.Metadata) != 4000 {
			t.Errorf("partition %d: %d, %d characters", p, o.Offset, len(o.Metadata))
		}
	}
}
