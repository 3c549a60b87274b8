package producer

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// slot is a request's slot that the test moves.
type slot struct {
	inflight.Slot      // nil: transactions want no more than what follows
	pending, committed atomic.Int32
	first              atomic.Bool
	revoked            atomic.Bool
	offset             int64
	epoch              int32 // under which its record was written
}

func (p *slot) Pending()    { p.pending.Add(1) }
func (p *slot) First() bool { return p.first.Load() }
func (p *slot) Owned() bool { return !p.revoked.Load() }
func (p *slot) Committed()  { p.committed.Add(1) }

// ofFormerTopic is the metadata of commits that are not about the topic at hand.
const ofFormerTopic = "former"

// CoveredBy is as the consumer's, with epochs that the test gives.
func (p *slot) CoveredBy(o kafkawire.OffsetAndMetadata) bool {
	return o.Metadata != ofFormerTopic && o.Offset > p.offset && (o.Epoch == kafkawire.NoEpoch || o.Epoch >= p.epoch)
}

// CommitOffset needs the offset where a partition is committed in portions.
func (p *slot) CommitOffset() kafkawire.OffsetAndMetadata {
	return kafkawire.OffsetAndMetadata{Offset: p.offset + 1}
}

// rig is one instance of a group that answers requests of one topic by transactions.
type rig struct {
	tb       testing.TB
	brokers  []string
	group    string
	requests string // topic, whose offsets are committed
	outcomes Outcomes
	*Transactions
	obs *observer
}

const transactionTimeout = 10 * time.Second

// transactions works with topics that exist, as the instance of that name.
func transactions(tb testing.TB, brokers []string, requests, results, deadLetters, instance string,
	change func(*TransactionConfig)) *rig {
	tb.Helper()
	b := &rig{tb: tb, brokers: brokers, group: groupOf(requests), requests: requests,
		outcomes: Outcomes{Results: results, DeadLetters: deadLetters}, obs: &observer{}}
	cfg := TransactionConfig{ID: "balanceq." + b.group + "." + instance, Group: b.group, Topic: requests,
		BufferBytes: 1 << 20, Timeout: transactionTimeout}
	if change != nil {
		change(&cfg)
	}
	var err error
	b.Transactions, err = NewTransactions(deadline(tb), cfg, b.outcomes, connect(tb, brokers, results, deadLetters),
		zerolog.Nop(), b.obs)
	if err != nil {
		tb.Fatalf("making the transactions: %v", err)
	}
	return b
}

func groupOf(requests string) string { return "g-" + requests }

// onShared makes topics of the test's own on the shared broker.
func onShared(t *testing.T, instance string) *rig {
	t.Helper()
	broker := kafkatest.Shared(t)
	return transactions(t, broker.Brokers(), broker.Topic(t, 3), broker.Topic(t, 3), broker.Topic(t, 3), instance, nil)
}

func (b *rig) again(instance string) *rig {
	b.tb.Helper()
	return transactions(b.tb, b.brokers, b.requests, b.outcomes.Results, b.outcomes.DeadLetters, instance, nil)
}

// result is the outcome of the record at partition/offset. Its message is found by its position.
func (b *rig) result(partition int32, offset int64) (*inflight.Request, schemas.Outcome) {
	at := schemas.Position{Topic: b.requests, Partition: partition, Offset: offset}
	record := schemas.Record{Position: at, Key: []byte(strconv.Itoa(int(offset) % 7))}
	return &inflight.Request{Slot: &slot{offset: offset}, Record: record}, schemas.Outcome{Result: &schemas.Result{
		Outcome: schemas.OutcomeComplete, Source: at, ContractID: 7, RetrievedAt: time.Now(), // the position is in a header
	}}
}

// write keeps results of n records from an offset on and returns their positions.
func (b *rig) write(partition int32, from, n int64) []string {
	b.tb.Helper()
	return b.writeUnder(0, partition, from, n)
}

// writeUnder is write for records that were written under a leader epoch.
func (b *rig) writeUnder(epoch, partition int32, from, n int64) []string {
	b.tb.Helper()
	var names []string
	for offset := from; offset < from+n; offset++ {
		req, out := b.result(partition, offset)
		p := &slot{offset: offset, epoch: epoch}
		req.Slot = p
		if err := b.Write(deadline(b.tb), req, out); err != nil || p.pending.Load() != 1 {
			b.tb.Fatalf("writing: %v; said to be pending %d times, want once", err, p.pending.Load())
		}
		names = append(names, req.Record.String())
	}
	return names
}

// outsider commits from outside of the group, which has no members.
func outsider(group string) func() kafkawire.Member {
	return func() kafkawire.Member { return kafkawire.Member{Group: group, Generation: -1} }
}

// at is what to commit to stand at these offsets.
func at(offsets map[int32]int64) Offsets {
	o := Offsets{}
	for partition, offset := range offsets {
		o[partition] = kafkawire.OffsetAndMetadata{Offset: offset}
	}
	return o
}

func (b *rig) commit(offsets map[int32]int64) error {
	_, err := b.Commit(deadline(b.tb), outsider(b.group), at(offsets))
	return err
}

// underWay makes all of a transaction but its end.
func (b *rig) underWay(offsets map[int32]int64) error {
	p := b.committer.gather(at(offsets))
	queues, err := b.committer.begin(deadline(b.tb), p)
	if err != nil {
		return err
	}
	return b.committer.fill(deadline(b.tb), outsider(b.group), queues, p)
}

func (b *rig) mustCommit(offsets map[int32]int64) {
	b.tb.Helper()
	if err := b.commit(offsets); err != nil {
		b.tb.Fatalf("committing %v: %v", offsets, err)
	}
}

// outcomesSeen reads the results and dead letters as another client sees them: up to the present end, committed ones
// only or all. A record is named by its ce_id (a result) or its source offset (a dead letter).
func (b *rig) outcomesSeen(committed bool) []string {
	b.tb.Helper()
	var list []string
	wire := connect(b.tb, b.brokers)
	for _, topic := range b.outcomes.Topics() {
		_, n, err := wire.Leaders(deadline(b.tb), topic)
		if err != nil {
			b.tb.Fatal(err)
		}
		level := kgo.ReadUncommitted()
		if committed {
			level = kgo.ReadCommitted()
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond), kgo.KeepControlRecords())
		if err != nil {
			b.tb.Fatal(err)
		}
		list = append(list, read(b.tb, cl, topic, n, committed)...)
		cl.Close()
	}
	return list
}

// read polls until every partition is read to its end (with committed, to its last stable offset).
func read(tb testing.TB, cl *kgo.Client, topic string, partitions int, committed bool) []string {
	tb.Helper()
	ends := map[int32]int64{}
	req := kmsg.NewPtrListOffsetsRequest()
	if committed {
		req.IsolationLevel = 1
	}
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	for p := range int32(partitions) {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p, -1
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	for _, shard := range cl.RequestSharded(deadline(tb), req) {
		if shard.Err != nil {
			tb.Fatal(shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					tb.Fatal(kerr.ErrorForCode(p.ErrorCode))
				}
				ends[p.Partition] = p.Offset
			}
		}
	}
	at := map[int32]int64{}
	var list []string
	done := func() bool {
		for p, end := range ends {
			if at[p] < end {
				return false
			}
		}
		return true
	}
	// Control records are kept so that the end is reached even where they are the last.
	for ctx := deadline(tb); !done(); {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			tb.Fatalf("reading %s: %v; at %v of %v", topic, err, at, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				list = append(list, name(r))
			}
		})
	}
	return list
}

func name(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == "ce_id" {
			return string(h.Value)
		}
	}
	return string(r.Value)
}

// stored is the group's committed offsets.
func (b *rig) stored(partitions ...int32) map[int32]int64 {
	b.tb.Helper()
	wire := connect(b.tb, b.brokers)
	offsets := map[int32]int64{}
	kafkatest.Eventually(b.tb, within, "committed offsets", func() bool {
		committed, err := wire.CommittedOffsets(deadline(b.tb), b.group, b.requests, partitions)
		for p, o := range committed {
			offsets[p] = o.Offset
		}
		return err == nil
	})
	return offsets
}

// wantSeen waits until a read-committed reader sees these and nothing else, each once, in any order.
func (b *rig) wantSeen(want []string) {
	b.tb.Helper()
	want = slices.Sorted(slices.Values(want))
	var got []string
	// markers follow the answer
	kafkatest.Eventually(b.tb, within, fmt.Sprintf("%d outcomes are seen", len(want)), func() bool {
		got = b.outcomesSeen(true)
		return len(got) >= len(want)
	})
	slices.Sort(got)
	if !slices.Equal(got, want) {
		b.tb.Errorf("a read-committed reader sees %d outcomes %.300v, want %d %.300v", len(got), got, len(want), want)
	}
}
