// Package tail reads all partitions of a topic without a group, for tools. It reads from a time or a position on, up to
// the present end or following the topic.
package tail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

// Reader reads all partitions of a topic without a group, for tools: it follows the topic, or stops where it ended when
// reading began.
type Reader struct {
	Client *kafkawire.Client
	Topic  string
	// From is Earliest, Latest or a time in milliseconds.
	From int64
	// Within, if set, has the only offsets that are wanted, by partition. It goes with ToEnd.
	Within map[int32]Span
	// ToEnd stops at the end of the topic as it was at the start instead of following it, with the partitions that are
	// added meanwhile.
	ToEnd bool
	// Ready, if set, is called once the starting offsets are known: what is written afterwards will be read. ahead is how
	// many records there are up to the end (ToEnd), or fewer where offsets are without one; -1: there is no end.
	Ready func(ahead int64)
	// Skipped, if set, is told of offsets that cannot be read, because their batch is corrupt or the topic has deleted
	// them meanwhile; reading goes on behind them. Otherwise they end it, with that error.
	Skipped func(partition int32, gap Span, why error)
}

// Span are the offsets from From up to To, To not included.
type Span struct{ From, To int64 }

const readerBackoff = 200 * time.Millisecond

// A dead letter has more headers than its request, so a reader reads larger records than a consumer.
var readerLimits = kafkawire.FetchLimits{
	MaxWait: 250 * time.Millisecond, MaxBytes: 2 << 20, PartitionMaxBytes: 1 << 20, Pin: true, Memory: 16 << 20,
	Record: 2 * kafkawire.MaxRecordBytes,
}

// Read calls each for every record, in the order of each partition, until ctx ends, the end is reached (ToEnd) or each
// returns false. Errors that pass by themselves are waited out; its own error is one that does not, or ctx's.
func (r Reader) Read(ctx context.Context, each func(partition int32, rec *kafkawire.Record) bool) error {
	offsets, ends, err := r.bounds(ctx)
	if err != nil {
		return err
	}
	if r.Ready != nil {
		r.Ready(ahead(offsets, ends))
	}
	fetching, stop := context.WithCancel(ctx)
	group, fetching := errgroup.WithContext(fetching)
	arrivals := make(chan arrival) // one is read while the next ones are fetched
	for _, share := range shares(offsets, ends) {
		group.Go(func() error { return r.fetch(fetching, share, arrivals) })
	}
	done := make(chan error, 1)
	go func() {
		done <- group.Wait()
		close(arrivals)
	}()
	defer func() {
		stop()
		for range arrivals { // until the fetching has ended: the client may be closed next
		}
	}()
	for a := range arrivals {
		for i := range a.records {
			if !each(a.partition, &a.records[i]) {
				return nil
			}
		}
		if a.why != nil {
			r.Skipped(a.partition, a.gap, a.why)
		}
	}
	return <-done
}

// sharers is how many fetch: the broker works for one while the answer to the other is decoded.
const sharers = 2

// share is what one of those who fetch reads.
type share struct {
	number  int             // from 0
	offsets map[int32]int64 // by partition: where to go on
	ends    map[int32]int64 // nil: the topic is followed
	known   int             // partitions of the topic, of all shares
}

func shares(offsets, ends map[int32]int64) []*share {
	all := make([]*share, sharers)
	for i := range all {
		all[i] = &share{i, map[int32]int64{}, ends, len(offsets)}
	}
	n := 0
	for p, offset := range offsets {
		all[n%sharers].offsets[p] = offset
		n++
	}
	return all
}

// grow takes in partitions that were added to a topic that is followed, from their beginning: all that is in them is
// news.
func (s *share) grow(partitions int) {
	for ; s.ends == nil && s.known < partitions; s.known++ {
		if s.known%sharers == s.number {
			s.offsets[int32(s.known)] = 0
		}
	}
}

// arrival are records of a partition, and what cannot be read behind them.
type arrival struct {
	partition int32
	records   []kafkawire.Record
	gap       Span
	why       error // nil: there is no gap
}

// fetch sends on what it fetches until all ends are reached. It moves the offsets on.
func (r Reader) fetch(ctx context.Context, s *share, arrivals chan<- arrival) error {
	for ctx.Err() == nil {
		for p, end := range s.ends {
			if s.offsets[p] >= end {
				delete(s.offsets, p)
			}
		}
		if s.ends != nil && len(s.offsets) == 0 {
			return nil
		}
		err := r.round(ctx, s, arrivals)
		if err != nil && !kafkawire.Transient(err) {
			return err
		}
		if err != nil {
			r.Client.Reset()
		}
		if err != nil || len(s.offsets) == 0 {
			wait.Sleep(ctx, readerBackoff)
		}
	}
	return ctx.Err()
}

// bounds returns where to begin and, unless the topic is followed, where to end.
func (r Reader) bounds(ctx context.Context) (offsets, ends map[int32]int64, err error) {
	if offsets, err = r.start(ctx, r.From); err != nil || !r.ToEnd {
		return offsets, nil, err
	}
	if ends, err = r.start(ctx, kafkawire.Latest); err != nil || r.Within == nil {
		return offsets, ends, err
	}
	for p := range ends {
		span, wanted := r.Within[p]
		if !wanted {
			delete(offsets, p)
			delete(ends, p)
			continue
		}
		offsets[p], ends[p] = max(span.From, offsets[p]), min(span.To, ends[p])
	}
	return offsets, ends, nil
}

func ahead(offsets, ends map[int32]int64) int64 {
	if ends == nil {
		return -1
	}
	var n int64
	for p, end := range ends {
		n += max(0, end-offsets[p])
	}
	return n
}

// start resolves a time to offsets; -1 (nothing after that time) becomes the end.
func (r Reader) start(ctx context.Context, at int64) (map[int32]int64, error) {
	for {
		offsets, err := r.resolve(ctx, at)
		if err == nil || !kafkawire.Transient(err) || ctx.Err() != nil {
			return offsets, err
		}
		r.Client.Reset()
		wait.Sleep(ctx, readerBackoff)
	}
}

func (r Reader) resolve(ctx context.Context, at int64) (map[int32]int64, error) {
	partitions, err := r.Client.Partitions(ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	offsets, err := r.Client.ListOffsets(ctx, r.Topic, partitions, at)
	if err != nil || at < 0 {
		return offsets, err
	}
	ends, err := r.Client.ListOffsets(ctx, r.Topic, partitions, kafkawire.Latest)
	if err != nil {
		return nil, err
	}
	for p, offset := range offsets {
		if offset < 0 {
			offsets[p] = ends[p]
		}
	}
	return offsets, nil
}

// round fetches once from every leader. What a fetch brings from beyond a partition's end is left out.
func (r Reader) round(ctx context.Context, s *share, arrivals chan<- arrival) error {
	leaders, partitions, err := r.Client.Leaders(ctx, r.Topic)
	if err != nil {
		return err
	}
	s.grow(partitions)
	var unled error // of a partition without a leader; the others are read all the same
	byLeader, without := kafkawire.ByLeader(leaders, s.offsets)
	for _, p := range without {
		unled = fmt.Errorf("reading %s/%d: %w", r.Topic, p, kafkawire.ErrNoLeader)
	}
	for leader, wanted := range byLeader {
		fetched, err := r.Client.Fetch(ctx, leader, r.Topic, wanted, readerLimits)
		if err != nil {
			return err
		}
		for i := range fetched {
			f := &fetched[i]
			a, next, err := r.arrival(ctx, f, s.ends)
			s.offsets[f.Partition] = next
			select {
			case arrivals <- a:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err != nil {
				return err
			}
		}
	}
	return unled
}

// arrival is what a fetch has brought of a partition, and where to go on.
func (r Reader) arrival(ctx context.Context, f *kafkawire.Fetched,
	ends map[int32]int64) (a arrival, next int64, err error) {
	end, bounded := ends[f.Partition]
	a = arrival{partition: f.Partition, records: f.Records}
	if bounded {
		beyond := slices.IndexFunc(a.records, func(rec kafkawire.Record) bool { return rec.Offset >= end })
		if beyond >= 0 {
			a.records = a.records[:beyond]
		}
	}
	if f.Err == nil {
		return a, f.Next, nil
	}
	gap, err := r.gap(ctx, f)
	if err != nil {
		return a, f.Next, err
	}
	if next = gap.To; bounded {
		gap.To = min(gap.To, end)
	}
	a.gap, a.why = gap, f.Err
	return a, next, nil
}

// gap is what cannot be read for good, if that is what is wrong and somebody wants to know.
func (r Reader) gap(ctx context.Context, f *kafkawire.Fetched) (Span, error) {
	batch, corrupt := errors.AsType[*kafkawire.CorruptError](f.Err)
	switch {
	case r.Skipped == nil:
	case corrupt:
		return Span{f.Next, batch.Beyond(f.Next)}, nil
	case errors.Is(f.Err, kafka.OffsetOutOfRange): // such an answer does not say where the log begins
		begins, err := r.Client.ListOffsets(ctx, r.Topic, []int32{f.Partition}, kafkawire.Earliest)
		if err != nil {
			return Span{}, err
		}
		if begin := begins[f.Partition]; begin > f.Next {
			return Span{f.Next, begin}, nil
		}
	}
	return Span{}, f.Err
}
