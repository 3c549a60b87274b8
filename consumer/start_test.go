package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/kafkawire"
)

// whatHidesAStart are the ways in which the start of partition 1 can be unknown while the others are known.
func whatHidesAStart() map[string]func(*kfake.Cluster) *kfake.FaultHandle {
	fault := func(key kmsg.Key, err *kerr.Error) func(*kfake.Cluster) *kfake.FaultHandle {
		return func(c *kfake.Cluster) *kfake.FaultHandle {
			return c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Partitions: []int32{1}, Err: err, Count: -1})
		}
	}
	return map[string]func(*kfake.Cluster) *kfake.FaultHandle{
		"an open transaction over its offset": fault(kmsg.OffsetFetch, kerr.UnstableOffsetCommit),
		"it has no leader":                    fault(kmsg.ListOffsets, kerr.LeaderNotAvailable),
		"it may not be read":                  fault(kmsg.ListOffsets, kerr.TopicAuthorizationFailed),
	}
}

// One partition whose start is not known keeps no other from starting, is named with the reason, and starts when it is
// known.
func TestOnePartitionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, hide := range whatHidesAStart() {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 3)
			for p := range int32(3) {
				produce(t, c, p, requests(10*int(p)+1, 5)...)
			}
			if err := storeOffsets(c, at(2, 3)); err != nil {
				t.Fatal(err)
			}
			hidden := hide(c)
			r := start(t, c, answerAll, nil)
			lease := r.grant(0, 1, 2)
			eventually(t, "the others are committed", func() bool { return lease.offset(0) == 5 && lease.offset(2) == 5 })
			eventually(t, "the reason is known", func() bool {
				s := r.Status()
				return s.Joined && len(s.Partitions) == 2 && len(s.Starting) == 1 && s.Starting[0].Partition == 1 &&
					s.Starting[0].Reason != ""
			})
			if got := r.delivery.offsets(1); len(got) > 0 || lease.offset(1) != kafkawire.NoOffset {
				t.Errorf("read %v of a partition whose start is not known", got)
			}
			hidden.Remove()
			eventually(t, "it is committed too", func() bool { return lease.offset(1) == 5 })
			if n := len(r.Status().Starting); n != 0 {
				t.Errorf("%d partitions have not started", n)
			}
			if got := r.delivery.offsets(2); len(got) != 2 {
				t.Errorf("read %v of the partition that was committed", got)
			}
		})
	}
}

// A partition that is asked back before it has started is not asked for any more, is never started and never committed;
// the others are untouched, and granted again it starts by the new grant.
func TestReleasedBeforeTheStart(t *testing.T) {
	t.Parallel()
	for name, hide := range whatHidesAStart() {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 2)
			produce(t, c, 0, requests(1, 5)...)
			produce(t, c, 1, requests(11, 5)...)
			// of a group that there is not the embedded broker says nothing by partition
			if err := storeOffsets(c, at(0, 0)); err != nil {
				t.Fatal(err)
			}
			hidden := hide(c)
			r := start(t, c, answerAll, nil)
			first := &fakeLease{}
			r.owner.Grant(context.Background(), first, []int32{0, 1})
			eventually(t, "the other one works", func() bool { return first.offset(0) == 5 })
			eventually(t, "it is asked for again", func() bool { return hidden.Hits() > 2 })
			r.owner.Release([]int32{1})
			r.starts.Wait() // who asked for it has ended
			if s := r.Status(); !s.Joined || len(s.Starting) != 0 || len(s.Partitions) != 1 {
				t.Errorf("status %+v", s)
			}
			hidden.Remove()
			if first.offset(1) != kafkawire.NoOffset || len(r.delivery.offsets(1)) > 0 {
				t.Errorf("read %v, committed %d of what was asked back", r.delivery.offsets(1), first.offset(1))
			}
			second := r.grant(1)
			eventually(t, "it is committed by the new grant", func() bool { return second.offset(1) == 5 })
			if first.offset(1) != kafkawire.NoOffset {
				t.Error("committed under the grant that it was asked back from")
			}
			r.owner.Release([]int32{0})
		})
	}
}

// What is found out for a grant that was taken back meanwhile starts nothing, whether or not it was granted again.
func TestStartOfAnEarlierGrantIsDropped(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(1, 5)...)
	r := start(t, c, answerAll, nil)
	old, again := &starting{}, &starting{}
	from := func() map[int32]position { return map[int32]position{0: {start: 3}} }
	r.start(map[int32]*starting{0: old}, from())
	r.mu.Lock()
	r.starting[0] = again
	r.mu.Unlock()
	r.start(map[int32]*starting{0: old}, from())
	r.noteUnstarted(map[int32]*starting{0: old}, map[int32]error{0: errors.New("late")})
	if s := r.Status(); len(s.Partitions) != 0 || len(s.Starting) != 1 || s.Starting[0].Reason != "" {
		t.Errorf("status %+v", s)
	}
	r.forget([]int32{0})
}

// Whatever passes by itself is told of after a while, everything else at once, one line a reason and doubling of tries.
func TestUnstartedPartitionsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := New(testConfig(), Parts{Log: zerolog.New(&out).Level(zerolog.InfoLevel), Delivery: &fakeDelivery{}})
		granted := map[int32]*starting{}
		for id := range int32(4) {
			granted[id] = &starting{since: time.Now()}
			c.starting[id] = granted[id]
		}
		failed := map[int32]error{
			0: fmt.Errorf("partition 0: %w", kafka.UnstableOffsetCommit),
			1: fmt.Errorf("partition 1: %w", kafka.UnstableOffsetCommit),
			2: kafka.LeaderNotAvailable, 3: kafka.TopicAuthorizationFailed,
		}
		for range 40 {
			c.noteUnstarted(granted, failed)
		}
		for text, times := range map[string]int{
			`"partitions":[0,1],"reason":"an open transaction`: 1, // 32: brokers end it by themselves before that
			`"partitions":[2],"reason":"it has no leader`:      2, // 16, 32
			`"partitions":[3],"reason":"[29] Topic Author`:     6, // 1, 2, 4, 8, 16, 32
		} {
			if n := strings.Count(out.String(), text); n != times {
				t.Errorf("%d times %s, want %d, in\n%s", n, text, times, out.String())
			}
		}
		ids := []int32{}
		for _, s := range c.Status().Starting {
			ids = append(ids, s.Partition)
			if s.Tries != 40 || s.Reason == "" || !s.Since.Equal(granted[s.Partition].since) {
				t.Errorf("status %+v", s)
			}
		}
		if !slices.Equal(ids, []int32{0, 1, 2, 3}) {
			t.Errorf("status of %v", ids)
		}
	})
}
