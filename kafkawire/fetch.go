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
	// Memory is what may be handed out of the whole answer; Portion and Record are those of DecodeLimits, for each partition.
	// Partitions for which nothing is left are to be asked for again: they come without records. Zero values have defaults.
	Memory, Portion, Record int
}

const defaultMemory = 32 << 20

// room returns the limits for the next partition. used is what the ones before have taken; !ok: nothing is left.
func (l FetchLimits) room(used int) (limits DecodeLimits, ok bool) {
	memory := l.Memory
	if memory <= 0 {
		memory = defaultMemory
	}
	limits = DecodeLimits{Portion: l.Portion, Record: l.Record}.orDefault()
	limits.Portion = min(limits.Portion, memory-used)
	return limits, limits.Portion > 0
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
	used := 0
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			if from, asked := offsets[p.Partition]; asked {
				f, memory := c.decodePartition(topic, p, from, limits, used)
				fetched, used = append(fetched, f), used+memory
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
	req.IsolationLevel = readCommitted
	req.SessionEpoch = -1 // no fetch session: what is asked for changes with every request
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

// decodePartition also returns how much memory the records take. used is what those of other partitions do already.
func (c *Client) decodePartition(
	topic string, p *kmsg.FetchResponseTopicPartition, from int64, limits FetchLimits, used int,
) (f Fetched, memory int) {
	f = Fetched{Partition: p.Partition, Next: from, Stable: p.LastStableOffset, LogStart: p.LogStartOffset, Err: codeError(p.ErrorCode)}
	room, ok := limits.room(used)
	if f.Err != nil || !ok {
		return f, 0
	}
	aborted := make([]Aborted, 0, len(p.AbortedTransactions))
	for _, a := range p.AbortedTransactions {
		aborted = append(aborted, Aborted{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	// A copy, because records alias what they are decoded from: one that waits long must not pin the answer of all the
	// other partitions too.
	batches := p.RecordBatches
	if !limits.Pin {
		batches = bytes.Clone(batches)
	}
	at := place{topic, p.Partition}
	d := portion{limits: room, from: from, next: from, aborts: newAborts(aborted), resume: c.opened.take(at, time.Now())}
	f.Err = d.decode(batches)
	f.Records, f.Next = d.records, d.next
	d.resume.close()
	c.opened.keep(at, d.inside, time.Now())
	return f, d.used
}
