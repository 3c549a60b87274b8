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
	// Memory is what may be handed out of the whole answer; Portion and Record are those of DecodeLimits, for each
	// partition. Partitions for which nothing is left are to be asked for again: they come without records. Zero values
	// have defaults.
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

// NoEpoch is the leader epoch of a position of which it is not known.
const NoEpoch int32 = -1

// LogPosition is a position in one partition's log.
type LogPosition struct {
	Topic  TopicID // the zero id: whichever topic has the name now
	Offset int64
	Epoch  int32 // leader epoch of the record before Offset, or NoEpoch
}

// EpochStart says that from an offset on, records were written under a leader epoch.
type EpochStart struct {
	From  int64
	Epoch int32
}

// EpochEnd is where the records of a leader epoch end in a log, or of the one before it where the log does not have it.
type EpochEnd struct {
	Epoch int32
	End   int64 // one past the last
}

// Fetched is what a fetch returned for one partition.
type Fetched struct {
	Partition int32
	Records   []Record
	Memory    int          // bytes that Records take
	Next      int64        // the offset to fetch from next
	Epochs    []EpochStart // of what was read up to Next; consecutive ones differ
	Stable    int64        // the last stable offset: the end of what a read-committed reader may see
	End       int64        // the high watermark: the end of what is replicated, open transactions included
	LogStart  int64
	// Diverged, if set, says that the log does not hold the record before the position asked for: it has lost its tail,
	// and what was read from Diverged.End on is gone. There are no records then.
	Diverged *EpochEnd
	Err      error
}

// Fetch is FetchLog by the topic's name, for who does not mind if that is another topic than a moment ago.
func (c *Client) Fetch(ctx context.Context, leader int32, topic string, offsets map[int32]int64,
	limits FetchLimits) ([]Fetched, error) {
	positions := make(map[int32]LogPosition, len(offsets))
	for partition, offset := range offsets {
		positions[partition] = LogPosition{Offset: offset, Epoch: NoEpoch}
	}
	return c.FetchLog(ctx, leader, topic, positions, limits)
}

// FetchLog asks one leader for several partitions of a topic in one request, read-committed: Fetch v13, by topic id
// (KIP-516). A topic that was deleted, or deleted and made again, is UnknownTopicID for each partition. The broker
// compares the position's epoch with its log (KIP-595, Fetched.Diverged). Positions without a topic id go by name, in
// v12. positions holds the partitions that are wanted; a paused partition is simply left out.
func (c *Client) FetchLog(
	ctx context.Context, leader int32, topic string, positions map[int32]LogPosition, limits FetchLimits,
) ([]Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.MaxWait+callTimeout)
	defer cancel()
	r, err := Typed[*kmsg.FetchResponse](c.Broker(ctx, leader, fetchRequest(topic, positions, limits)))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	fetched := make([]Fetched, 0, len(positions))
	used := 0
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			if from, asked := positions[p.Partition]; asked {
				f, memory := c.decodePartition(topic, p, from, limits, used)
				fetched, used = append(fetched, f), used+memory
			}
		}
	}
	return fetched, nil
}

func fetchRequest(topic string, positions map[int32]LogPosition, limits FetchLimits) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 13
	req.MaxWaitMillis = wireMillis(limits.MaxWait)
	req.MinBytes = 1
	req.MaxBytes = wireInt(limits.MaxBytes)
	req.IsolationLevel = readCommitted
	req.SessionEpoch = -1                           // no fetch session: what is asked for changes with every request
	topics := map[TopicID]*kmsg.FetchRequestTopic{} // two, for a moment, when a topic was made again
	for partition, at := range positions {
		if at.Topic == (TopicID{}) {
			req.Version = 12
		}
		t := topics[at.Topic]
		if t == nil {
			added := kmsg.NewFetchRequestTopic()
			t = &added
			t.Topic, t.TopicID = topic, at.Topic
			topics[at.Topic] = t
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, at.Offset, wireInt(limits.PartitionMaxBytes)
		p.LastFetchedEpoch = at.Epoch
		t.Partitions = append(t.Partitions, p)
	}
	for _, t := range topics {
		req.Topics = append(req.Topics, *t)
	}
	return req
}

// decodePartition also returns how much memory the records take. used is what those of other partitions do already.
func (c *Client) decodePartition(
	topic string, p *kmsg.FetchResponseTopicPartition, at LogPosition, limits FetchLimits, used int,
) (f Fetched, memory int) {
	from := at.Offset
	f = Fetched{Partition: p.Partition, Next: from, Stable: p.LastStableOffset, End: p.HighWatermark,
		LogStart: p.LogStartOffset, Err: CodeError(p.ErrorCode)}
	room, ok := limits.room(used)
	if d := p.DivergingEpoch; f.Err == nil && d.EndOffset >= 0 {
		f.Diverged = &EpochEnd{Epoch: d.Epoch, End: d.EndOffset}
	}
	if f.Err != nil || f.Diverged != nil || !ok {
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
	kept := place{topic, p.Partition}
	d := portion{limits: room, from: from, next: from, aborts: newAborts(aborted), resume: c.opened.take(kept, time.Now())}
	f.Err = d.decode(batches)
	f.Records, f.Next, f.Epochs, f.Memory = d.records, d.next, d.epochs, d.used
	d.resume.close()
	c.opened.keep(kept, d.inside, time.Now())
	return f, d.used
}
