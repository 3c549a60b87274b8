package kafkawire

import (
	"bytes"
	"context"
	"slices"
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
	// Memory is what may be handed out of the whole answer; Portion, Step and Record are those of DecodeLimits, for each
	// partition. Partitions for which nothing is left are to be asked for again: they come without records. Zero values
	// have defaults.
	Memory, Portion, Step, Record int
}

const defaultMemory = 32 << 20

// room returns the limits for the next partition. used is what the ones before have taken; !ok: nothing is left.
func (l FetchLimits) room(used int) (limits DecodeLimits, ok bool) {
	memory := l.Memory
	if memory <= 0 {
		memory = defaultMemory
	}
	limits = DecodeLimits{Portion: l.Portion, Step: l.Step, Record: l.Record}.orDefault()
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

// Fetched is what a fetch returned for one partition. Err is also what the broker says of it.
type Fetched struct {
	Portion
	Partition int32
	From      LogPosition // that was asked for
	Stable    int64       // the last stable offset: the end of what a read-committed reader may see
	End       int64       // the high watermark: the end of what is replicated, open transactions included
	LogStart  int64
	// Diverged, if set, says that the log does not hold the record before the position asked for: it has lost its tail,
	// and what was read from Diverged.End on is gone. There are no records then.
	Diverged *EpochEnd
}

// Fetch is FetchLog by the topic's name, for a caller that does not mind if that is another topic than a moment ago.
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
	req := newFetchRequest(limits)
	req.SessionEpoch = noSession
	var topics fetchTopics
	unnamed := false
	for partition, at := range positions {
		unnamed = unnamed || at.Topic == TopicID{}
		topics.ask(topic, partition, at, limits)
	}
	req.Version, req.Topics = fetchVersion(unnamed), topics.asked
	r, err := Typed[*kmsg.FetchResponse](c.Broker(ctx, leader, req))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	return c.decodeFetched(topic, r, positions, limits), nil
}

// fetchVersion is 13, which goes by topic id, or 12, which goes by name.
func fetchVersion(unnamed bool) int16 {
	if unnamed {
		return 12
	}
	return 13
}

// newFetchRequest makes one that goes by topic id. fetchVersion tells of those that go by name.
func newFetchRequest(limits FetchLimits) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 13
	req.MaxWaitMillis = wireMillis(limits.MaxWait)
	req.MinBytes = 1
	req.MaxBytes = wireInt(limits.MaxBytes)
	req.IsolationLevel = readCommitted
	return req
}

// fetchTopics groups partitions by topic: two, for a moment, when a topic was made again.
type fetchTopics struct {
	asked     []kmsg.FetchRequestTopic
	forgotten []kmsg.FetchRequestForgottenTopic
}

func (t *fetchTopics) ask(topic string, partition int32, at LogPosition, limits FetchLimits) {
	i := slices.IndexFunc(t.asked, func(of kmsg.FetchRequestTopic) bool { return of.TopicID == at.Topic })
	if i < 0 {
		of := kmsg.NewFetchRequestTopic()
		of.Topic, of.TopicID = topic, at.Topic
		t.asked, i = append(t.asked, of), len(t.asked)
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, at.Offset, wireInt(limits.PartitionMaxBytes)
	p.LastFetchedEpoch = at.Epoch
	t.asked[i].Partitions = append(t.asked[i].Partitions, p)
}

func (t *fetchTopics) forget(topic string, partition int32, id TopicID) {
	i := slices.IndexFunc(t.forgotten, func(of kmsg.FetchRequestForgottenTopic) bool { return of.TopicID == id })
	if i < 0 {
		of := kmsg.NewFetchRequestForgottenTopic()
		of.Topic, of.TopicID = topic, id
		t.forgotten, i = append(t.forgotten, of), len(t.forgotten)
	}
	t.forgotten[i].Partitions = append(t.forgotten[i].Partitions, partition)
}

func (c *Client) decodeFetched(topic string, r *kmsg.FetchResponse, positions map[int32]LogPosition,
	limits FetchLimits) []Fetched {
	var fetched []Fetched
	used := 0
	for i := range r.Topics {
		of := r.Topics[i].Partitions
		fetched = slices.Grow(fetched, len(of))
		for j := range of {
			if from, asked := positions[of[j].Partition]; asked {
				f, memory := c.decodePartition(topic, &of[j], from, limits, used)
				fetched, used = append(fetched, f), used+memory
			}
		}
	}
	return fetched
}

// decodePartition also returns how much memory the records take. used is what those of other partitions do already.
func (c *Client) decodePartition(
	topic string, p *kmsg.FetchResponseTopicPartition, at LogPosition, limits FetchLimits, used int,
) (f Fetched, memory int) {
	f = Fetched{Partition: p.Partition, From: at, Stable: p.LastStableOffset, End: p.HighWatermark,
		LogStart: p.LogStartOffset, Portion: Portion{Next: at.Offset, Err: CodeError(p.ErrorCode)}}
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
	// other partitions too. Nor what of its own partition is decoded later only.
	batches := p.RecordBatches
	if !limits.Pin {
		batches = bytes.Clone(batches)
	}
	kept := place{topic, p.Partition}
	d := decoding{limits: room, b: batches, from: at.Offset, next: at.Offset, aborts: newAborts(aborted),
		resume: c.opened.take(kept, time.Now())}
	if !limits.Pin && room.Step > 0 && len(batches) > room.Step {
		d.copies = max(minChunk, room.Step/2)
	}
	f.Portion = d.portion()
	c.opened.keep(kept, d.inside, time.Now())
	return f, f.Memory
}
