package kafkawire

import (
	"bytes"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FetchLimits bound one fetch.
type FetchLimits struct {
	MaxWait           time.Duration // how long the broker may hold an empty answer back
	MaxBytes          int           // of the whole answer
	PartitionMaxBytes int           // a first batch larger than this is returned all the same (KIP-74)
	// Pin lets records keep the whole answer in memory, all partitions of it, instead of a copy of their own partition's.
	Pin bool
}

// Fetched is what a fetch returned for one partition.
type Fetched struct {
	Partition int32
	Records   []Record
	Next      int64 // the offset to fetch from next
	Stable    int64 // the last stable offset: the end of what a read-committed reader may see
	LogStart  int64
	Err       error
}

// Fetch asks one leader for several partitions of a topic in one request (Fetch v11, read-committed). offsets holds the
// partitions that are wanted; a paused partition is simply left out.
func (c *Client) Fetch(ctx context.Context, leader int32, topic string, offsets map[int32]int64, limits FetchLimits) ([]Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.MaxWait+callTimeout)
	defer cancel()
	r, err := typed[*kmsg.FetchResponse](c.Broker(ctx, leader, fetchRequest(topic, offsets, limits)))
	if err == nil {
		err = codeError(r.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	fetched := make([]Fetched, 0, len(offsets))
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			if from, asked := offsets[p.Partition]; asked {
				fetched = append(fetched, decodePartition(p, from, limits.Pin))
			}
		}
	}
	return fetched, nil
}

func fetchRequest(topic string, offsets map[int32]int64, limits FetchLimits) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 11
	req.MaxWaitMillis = int32(limits.MaxWait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = int32(limits.MaxBytes)
	req.IsolationLevel = 1 // read committed
	req.SessionEpoch = -1  // no fetch session: what is asked for changes with every request
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	for partition, offset := range offsets {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, int32(limits.PartitionMaxBytes)
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func decodePartition(p *kmsg.FetchResponseTopicPartition, from int64, pin bool) Fetched {
	f := Fetched{Partition: p.Partition, Next: from, Stable: p.LastStableOffset, LogStart: p.LogStartOffset, Err: codeError(p.ErrorCode)}
	if f.Err != nil {
		return f
	}
	aborted := make([]Aborted, 0, len(p.AbortedTransactions))
	for _, a := range p.AbortedTransactions {
		aborted = append(aborted, Aborted{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	// A copy, because records alias what they are decoded from: one that waits long must not pin the answer of all the
	// other partitions too.
	batches := p.RecordBatches
	if !pin {
		batches = bytes.Clone(batches)
	}
	f.Records, f.Next, f.Err = DecodeBatches(batches, from, aborted)
	return f
}
