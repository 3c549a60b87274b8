package consumer

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/kafkawire"
)

// A partition that was added to a topic in which the group is at work is read from its beginning, whatever kafka.start
// says.
func TestAddedPartitionsBeginAtTheirBeginning(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]Start{"latest": Latest, "a time": Start(time.Now().Add(time.Hour).UnixMilli()),
		"earliest": Earliest} {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 3)
			produce(t, c, 2, requests(1, 10)...) // before the group notices
			if err := storeOffsets(c, at(1, 0)); err != nil {
				t.Fatal(err)
			}
			r := start(t, c, answerAll, func(cfg *Config) { cfg.Start = from })
			r.grantUnder(brokerLease(c), 2)
			eventually(t, "all of it is answered", func() bool { return len(r.delivery.offsets(2)) == 10 })
		})
	}
}

// An offset that is in a transaction of which the end is not known yet is one: the group has begun.
func TestAnOpenTransactionSaysThatTheGroupHasBegun(t *testing.T) {
	t.Parallel()
	c := broker(t, 2)
	produce(t, c, 1, requests(1, 5)...)
	r := start(t, c, answerAll, func(cfg *Config) { cfg.Start = Latest })
	c.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := req.(*kmsg.OffsetFetchRequest).Topics[0]
		if len(asked.Partitions) == 1 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		topic := kmsg.NewOffsetFetchResponseTopic()
		topic.Topic = asked.Topic
		for _, id := range asked.Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset = id, kafkawire.NoOffset
			if id == 0 {
				p.ErrorCode = kerr.UnstableOffsetCommit.Code
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	r.grantUnder(brokerLease(c), 1)
	eventually(t, "all of it is answered", func() bool { return len(r.delivery.offsets(1)) == 5 })
}

// The group begins between the request that found no offset for a partition and the one that asks whether it has begun:
// the partition was not added later, and begins where the group begins.
func TestTheGroupBeginsBetweenTwoLooks(t *testing.T) {
	t.Parallel()
	c := broker(t, 2)
	produce(t, c, 1, requests(1, 10)...)
	lease := brokerLease(c)
	begin := kafkawire.OffsetAndMetadata{Offset: 10, Epoch: kafkawire.NoEpoch}
	if err := lease.Commit(t.Context(), Offsets{0: {Epoch: kafkawire.NoEpoch}, 1: begin}); err != nil {
		t.Fatal(err)
	}
	looks := 0
	c.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := req.(*kmsg.OffsetFetchRequest).Topics[0]
		if len(asked.Partitions) != 1 {
			return nil, nil, false
		}
		if looks++; looks > 1 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse) // of before
		topic := kmsg.NewOffsetFetchResponseTopic()
		topic.Topic = asked.Topic
		p := kmsg.NewOffsetFetchResponseTopicPartition()
		p.Partition, p.Offset = asked.Partitions[0], kafkawire.NoOffset
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	r := start(t, c, answerAll, func(cfg *Config) { cfg.Start = Latest })
	r.grantUnder(lease, 1)
	eventually(t, "it begins", func() bool { return len(r.Status().Partitions) == 1 })
	produce(t, c, 1, requests(901, 1)...)
	eventually(t, "what comes is answered", func() bool { return slices.Contains(r.delivery.offsets(1), 10) })
	if got := r.delivery.offsets(1); !slices.Equal(got, []int64{10}) || looks < 2 {
		t.Errorf("read %v after %d looks, want only what came", got, looks)
	}
}

// Two instances start at the same time: the one with partition 0 decides for both, so that neither takes the partitions
// of the other, or its own, for added ones.
func TestTheHolderOfPartition0DecidesWhereTheGroupBegins(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		start Start
		first int64
	}{
		"latest": {Latest, 10}, "a time that nothing has reached": {Start(time.Now().Add(time.Hour).UnixMilli()), 10},
		"a time before all": {Start(time.Now().Add(-time.Hour).UnixMilli()), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 3)
			for partition := range int32(3) {
				produce(t, c, partition, requests(int(partition)*100+1, 10)...)
			}
			other := start(t, c, answerAll, func(cfg *Config) { cfg.Start = test.start })
			other.grantUnder(brokerLease(c), 1)
			eventually(t, "it waits, and says for what", func() bool {
				waiting := other.Status().Starting
				return len(waiting) == 1 && waiting[0].Reason == errNotBegun.Error()
			})
			r := start(t, c, answerAll, func(cfg *Config) { cfg.Start = test.start })
			r.grantUnder(brokerLease(c), 0)
			eventually(t, "both begin", func() bool {
				return len(r.Status().Partitions) == 1 &&
					len(other.Status().Partitions) == 1
			})
			third := r.committed(2)
			if third != test.first { // no instance holds it yet; its first one must not take it for added
				t.Errorf("partition 2 begins at %d, want %d", third, test.first)
			}
			produce(t, c, 0, requests(901, 2)...)
			produce(t, c, 1, requests(951, 2)...)
			eventually(t, "what comes is answered", func() bool {
				return slices.Contains(r.delivery.offsets(0), 11) && slices.Contains(other.delivery.offsets(1), 11)
			})
			for _, got := range [][]int64{r.delivery.offsets(0), other.delivery.offsets(1)} {
				if slices.Sort(got); !slices.Equal(got, sequence(test.first, 12)) {
					t.Errorf("read %v, want from %d", got, test.first)
				}
			}
		})
	}
}

// Where the beginning cannot be committed, or is not known of every partition, no instance begins: an instance would
// take the others for added partitions.
func TestTheGroupBeginsInAllPartitionsOrInNone(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]kfake.Fault{
		"not committed": {Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorNotAvailable, Count: 3},
		"not known":     {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: 3},
	} {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 2)
			produce(t, c, 0, requests(1, 4)...)
			produce(t, c, 1, requests(11, 4)...)
			r := start(t, c, answerAll, func(cfg *Config) { cfg.Start = Latest })
			hidden := c.Fault(fault)
			defer hidden.Remove()
			r.grantUnder(brokerLease(c), 0)
			eventually(t, "it begins in the end", func() bool { return len(r.Status().Partitions) == 1 })
			if got := committed(t, c, 0, 1); got[0] != 4 || got[1] != 4 {
				t.Errorf("committed %v", got)
			}
		})
	}
}
