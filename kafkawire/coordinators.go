package kafkawire

import (
	"context"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kinds of coordinators.
const (
	groupKey       = int8(0)
	transactionKey = int8(1)
)

// coordinated is a consumer group or a transactional id.
type coordinated struct {
	kind int8
	key  string
}

// coordinators are the brokers that coordinate groups and transactional ids, as last heard. Asking for them before each
// heartbeat and each step of a transaction would double the time that these take.
type coordinators struct {
	mu    sync.Mutex
	known map[coordinated]int32
}

func (c *coordinators) get(of coordinated) (id int32, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, known = c.known[of]
	return id, known
}

func (c *coordinators) set(of coordinated, id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[coordinated]int32{}
	}
	c.known[of] = id
}

func (c *coordinators) forget(of coordinated) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, of)
}

func (c *coordinators) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
}

// Coordinator sends a request to the coordinator of a consumer group.
func (c *Client) Coordinator(ctx context.Context, group string, req kmsg.Request) (kmsg.Response, error) {
	return c.coordinate(ctx, coordinated{groupKey, group}, req)
}

// transactionCall asks the coordinator of the transactional id.
func (c *Client) transactionCall(ctx context.Context, id string, req kmsg.Request) (kmsg.Response, error) {
	return c.coordinate(ctx, coordinated{transactionKey, id}, req)
}

// coordinate sends a request to the coordinator that is known, or looks it up. After an answer that says that it is
// another one, and after none at all, the next request looks it up again: the caller tries again anyway.
func (c *Client) coordinate(ctx context.Context, of coordinated, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	id, err := c.coordinatorOf(ctx, of)
	if err != nil {
		return nil, err
	}
	resp, err := c.Broker(ctx, id, req)
	if err != nil || moved(resp) {
		c.coordinators.forget(of)
	}
	return resp, err
}

// GroupCoordinator returns the node id of the broker that coordinates a group, or the error that says why there is
// none.
func (c *Client) GroupCoordinator(ctx context.Context, group string) (int32, error) {
	return c.lookUp(ctx, coordinated{groupKey, group})
}

func (c *Client) coordinatorOf(ctx context.Context, of coordinated) (int32, error) {
	if id, known := c.coordinators.get(of); known {
		return id, nil
	}
	return c.lookUp(ctx, of)
}

// lookUp asks who coordinates a group or a transactional id (FindCoordinator v2). kafka-go does so too, but drops the
// error that comes with it.
func (c *Client) lookUp(ctx context.Context, of coordinated) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version = 2
	req.CoordinatorType, req.CoordinatorKey = of.kind, of.key
	r, err := Typed[*kmsg.FindCoordinatorResponse](c.Any(ctx, req))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return 0, err
	}
	c.coordinators.set(of, r.NodeID)
	return r.NodeID, nil
}

// moved says that an answer is not that of the coordinator, or of one that is about to be another. One of a kind that
// is not listed here says nothing about it: the coordinator is looked up again.
func moved(resp kmsg.Response) bool {
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.SyncGroupResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.HeartbeatResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.ConsumerGroupHeartbeatResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.OffsetFetchResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.OffsetCommitResponse:
		return slices.ContainsFunc(r.Topics, func(t kmsg.OffsetCommitResponseTopic) bool {
			return slices.ContainsFunc(t.Partitions, func(p kmsg.OffsetCommitResponseTopicPartition) bool {
				return movedBy(p.ErrorCode)
			})
		})
	case *kmsg.TxnOffsetCommitResponse:
		return slices.ContainsFunc(r.Topics, func(t kmsg.TxnOffsetCommitResponseTopic) bool {
			return slices.ContainsFunc(t.Partitions, func(p kmsg.TxnOffsetCommitResponseTopicPartition) bool {
				return movedBy(p.ErrorCode)
			})
		})
	case *kmsg.InitProducerIDResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.AddPartitionsToTxnResponse:
		return slices.ContainsFunc(r.Topics, func(t kmsg.AddPartitionsToTxnResponseTopic) bool {
			return slices.ContainsFunc(t.Partitions, func(p kmsg.AddPartitionsToTxnResponseTopicPartition) bool {
				return movedBy(p.ErrorCode)
			})
		})
	case *kmsg.AddOffsetsToTxnResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.EndTxnResponse:
		return movedBy(r.ErrorCode)
	case *kmsg.DescribeTransactionsResponse:
		return slices.ContainsFunc(r.TransactionStates, func(s kmsg.DescribeTransactionsResponseTransactionState) bool {
			return movedBy(s.ErrorCode)
		})
	}
	return true
}

func movedBy(code int16) bool {
	switch kafka.Error(code) {
	case kafka.NotCoordinatorForGroup, kafka.GroupCoordinatorNotAvailable, kafka.GroupLoadInProgress:
		return true
	}
	return false
}
