package kafkawire

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch is an encoded record batch (AppendBatch) on its way to one partition. Err and First are the answer to it.
type Batch struct {
	Topic     string
	Partition int32
	Bytes     []byte
	Err       error // set by Produce: nil means that it is in the log on all in-sync replicas
	First     int64 // then also: the offset of its first record
}

// Produce sends batches, at most one a partition, to one leader in one request (Produce v8, acks=all) and sets each
// batch's Err. An error of the call itself leaves it open whether the batches were applied: send the identical bytes
// again. Several batches of one producer id may ride together; those of different ids do too. Large ones over a slow
// line take long: ctx says how long they may.
func (c *Client) Produce(ctx context.Context, leader int32, batches []*Batch) error {
	r, err := Typed[*kmsg.ProduceResponse](c.Broker(ctx, leader, produceRequest(batches)))
	if err != nil {
		return err
	}
	answered := 0
	for i := range r.Topics {
		t := &r.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			for _, b := range batches {
				if b.Partition == p.Partition && b.Topic == t.Topic {
					b.Err, b.First = refused(p), p.BaseOffset
					answered++
				}
			}
		}
	}
	if answered != len(batches) {
		return fmt.Errorf("kafka: %d of %d partitions answered", answered, len(batches))
	}
	return nil
}

func produceRequest(batches []*Batch) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 8
	req.Acks = -1
	req.TimeoutMillis = wireMillis(callTimeout)
	for _, b := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = b.Partition, b.Bytes
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == b.Topic {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, p)
			continue
		}
		t := kmsg.NewProduceRequestTopic()
		t.Topic, t.Partitions = b.Topic, append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	return req
}

// NewProducerID asks for an idempotent producer id that belongs to no transactional id (InitProducerID v1). Any broker
// can answer: it is sent directly rather than through FindCoordinator(""), which under ACLs would need rights on a
// transactional id that does not exist.
func (c *Client) NewProducerID(ctx context.Context) (ProducerID, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = 1
	req.TransactionTimeoutMillis = -1
	r, err := Typed[*kmsg.InitProducerIDResponse](c.Any(ctx, req))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return ProducerID{}, fmt.Errorf("getting a producer id: %w", err)
	}
	return ProducerID{ID: r.ProducerID, Epoch: r.ProducerEpoch}, nil
}
