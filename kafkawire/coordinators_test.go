package kafkawire

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// A coordinator is looked up once, and again after each answer that says that it is another one: whatever the request.
func TestCoordinatorIsLookedUpWhenItMoves(t *testing.T) {
	t.Parallel()
	member := GroupMember{Member: Member{Group: "g", ID: "m", Generation: 1}}
	txn := Transactional{ID: "t", Producer: ProducerID{ID: 1}}
	offsets := map[int32]OffsetAndMetadata{0: {Offset: 1}}
	cases := map[string]struct {
		key    kmsg.Key
		answer func(resp kmsg.Response, code int16)
		call   func(context.Context, *Client) error
	}{
		"JoinGroup": {kmsg.JoinGroup, func(r kmsg.Response, code int16) { r.(*kmsg.JoinGroupResponse).ErrorCode = code },
			func(ctx context.Context, c *Client) error {
				_, err := c.JoinGroup(ctx, joinRequest("g", "r", ""))
				return err
			}},
		"SyncGroup": {kmsg.SyncGroup, func(r kmsg.Response, code int16) {
			r.(*kmsg.SyncGroupResponse).ErrorCode = code
			r.(*kmsg.SyncGroupResponse).MemberAssignment = (&Assignment{}).encode()
		}, func(ctx context.Context, c *Client) error { _, err := c.SyncGroup(ctx, member, "s", nil); return err }},
		"Heartbeat": {kmsg.Heartbeat, func(r kmsg.Response, code int16) { r.(*kmsg.HeartbeatResponse).ErrorCode = code },
			func(ctx context.Context, c *Client) error { return c.Heartbeat(ctx, member) }},
		"ConsumerGroupHeartbeat": {kmsg.ConsumerGroupHeartbeat, func(r kmsg.Response, code int16) {
			r.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode = code
		}, func(ctx context.Context, c *Client) error {
			_, err := c.ConsumerHeartbeat(ctx, ConsumerHeartbeat{GroupMember: member})
			return err
		}},
		"OffsetFetch": {kmsg.OffsetFetch, func(r kmsg.Response, code int16) {
			r.(*kmsg.OffsetFetchResponse).ErrorCode = code
		}, func(ctx context.Context, c *Client) error {
			_, err := c.CommittedOffsets(ctx, "g", "r", nil)
			return err
		}},
		"OffsetCommit": {kmsg.OffsetCommit, func(r kmsg.Response, code int16) {
			r.(*kmsg.OffsetCommitResponse).Topics = []kmsg.OffsetCommitResponseTopic{{Topic: "r",
				Partitions: []kmsg.OffsetCommitResponseTopicPartition{{ErrorCode: code}}}}
		}, func(ctx context.Context, c *Client) error { return c.CommitOffsets(ctx, member.Member, "r", offsets) }},
		"TxnOffsetCommit": {kmsg.TxnOffsetCommit, func(r kmsg.Response, code int16) {
			r.(*kmsg.TxnOffsetCommitResponse).Topics = []kmsg.TxnOffsetCommitResponseTopic{{Topic: "r",
				Partitions: []kmsg.TxnOffsetCommitResponseTopicPartition{{ErrorCode: code}}}}
		}, func(ctx context.Context, c *Client) error {
			return c.CommitTransactionOffsets(ctx, txn, member.Member, "r", offsets)
		}},
		"InitProducerID": {kmsg.InitProducerID, func(r kmsg.Response, code int16) {
			r.(*kmsg.InitProducerIDResponse).ErrorCode = code
		}, func(ctx context.Context, c *Client) error {
			_, err := c.InitTransactional(ctx, "t", time.Second)
			return err
		}},
		"AddPartitionsToTxn": {kmsg.AddPartitionsToTxn, func(r kmsg.Response, code int16) {
			r.(*kmsg.AddPartitionsToTxnResponse).Topics = []kmsg.AddPartitionsToTxnResponseTopic{{Topic: "r",
				Partitions: []kmsg.AddPartitionsToTxnResponseTopicPartition{{ErrorCode: code}}}}
		}, func(ctx context.Context, c *Client) error {
			return c.AddPartitions(ctx, txn, map[string][]int32{"r": {0}})
		}},
		"AddOffsetsToTxn": {kmsg.AddOffsetsToTxn, func(r kmsg.Response, code int16) {
			r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode = code
		}, func(ctx context.Context, c *Client) error { return c.AddOffsets(ctx, txn, "g") }},
		"EndTxn": {kmsg.EndTxn, func(r kmsg.Response, code int16) { r.(*kmsg.EndTxnResponse).ErrorCode = code },
			func(ctx context.Context, c *Client) error { return c.EndTransaction(ctx, txn, true) }},
		"DescribeTransactions": {kmsg.DescribeTransactions, func(r kmsg.Response, code int16) {
			r.(*kmsg.DescribeTransactionsResponse).TransactionStates =
				[]kmsg.DescribeTransactionsResponseTransactionState{{ErrorCode: code}}
		}, func(ctx context.Context, c *Client) error { _, err := c.DescribeTransactional(ctx, "t"); return err }},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "r"))
			var lookUps, code atomic.Int32
			cluster.ControlKey(int16(kmsg.FindCoordinator), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				lookUps.Add(1)
				return nil, nil, false
			})
			cluster.ControlKey(int16(x.key), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				resp := req.ResponseKind()
				resp.SetVersion(req.GetVersion())
				x.answer(resp, int16(code.Load()))
				return resp, nil, true
			})
			c := wire(t, cluster.ListenAddrs(), "r")
			for _, step := range []struct {
				code    kafka.Error
				lookUps int32 // until then
			}{
				{0, 1}, {0, 1},
				{kafka.NotCoordinatorForGroup, 1}, {kafka.GroupCoordinatorNotAvailable, 2}, {kafka.GroupLoadInProgress, 3},
				{0, 4}, {kafka.GroupAuthorizationFailed, 4}, {0, 4},
			} {
				code.Store(int32(step.code))
				if err := x.call(deadline(t), c); (err == nil) != (step.code == 0) {
					t.Fatalf("code %d: error %v", step.code, err)
				}
				if n := lookUps.Load(); n != step.lookUps {
					t.Fatalf("%d look-ups until the answer %d, want %d", n, step.code, step.lookUps)
				}
			}
			c.Reset()
			if err := x.call(deadline(t), c); err != nil || lookUps.Load() != 5 {
				t.Errorf("after Reset %d look-ups, want 5; %v", lookUps.Load(), err)
			}
		})
	}
}
