package consumer

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/kafkawire"
)

// Every code that brokers can answer with, once each, to whatever a partition asks for: its records are read, each once
// and from the beginning, the other partition's too, and all is committed.
func TestEveryAnswerToAReader(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets, kmsg.OffsetFetch} {
		for _, a := range kafkawire.Answers {
			t.Run(key.Name()+" "+a.Name, func(t *testing.T) {
				t.Parallel()
				c := broker(t, 2)
				for partition := range int32(2) {
					produce(t, c, partition, requests(int(partition)*100+1, 5)...)
				}
				if key == kmsg.OffsetFetch { // or there is no group to ask about
					if err := storeOffsets(c, map[int32]kafkawire.OffsetAndMetadata{0: {}, 1: {}}); err != nil {
						t.Fatal(err)
					}
				}
				refusal := c.Fault(kfake.Fault{
					Keys: []kmsg.Key{key}, Topic: testTopic, Partitions: []int32{0}, Err: kerr.TypedErrorForCode(int16(a.Code)),
					Count: 1,
				})
				defer refusal.Remove()
				r := start(t, c, answerAll, nil)
				lease := r.grant(0, 1)
				eventually(t, "all is committed", func() bool { return lease.offset(0) == 5 && lease.offset(1) == 5 })
				for partition := range int32(2) {
					got := r.delivery.offsets(partition)
					if slices.Sort(got); !slices.Equal(got, sequence(0, 5)) {
						t.Errorf("partition %d: read %v", partition, got)
					}
				}
				if refusal.Hits() != 1 {
					t.Error("nothing was refused: the test proves nothing")
				}
			})
		}
	}
}

// Every code that a commit can be answered with, once each: in the end the offset is committed, and whatever is
// answered again comes from a place in the group that was lost.
func TestEveryAnswerToACommit(t *testing.T) {
	t.Parallel()
	for _, a := range kafkawire.Answers {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			c := groupBroker(t, 1)
			r := startInGroup(t, c, answerAll, nil)
			eventually(t, "it has its partition", func() bool { return r.holds() == 1 && r.committed(0) == 0 })
			refusal := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.TypedErrorForCode(int16(a.Code)),
				Count: 1})
			defer refusal.Remove()
			produce(t, c, 0, requests(1, 5)...)
			eventually(t, "the commit is refused, and works in the end",
				func() bool { return refusal.Hits() == 1 && r.committed(0) == 5 })
			got := r.delivery.offsets(0)
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, sequence(0, 5)) {
				t.Errorf("read %v", got)
			}
		})
	}
}
