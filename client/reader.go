package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// reader follows all partitions of a topic from where it ended when it was opened, without a group: one loop for each
// leader, each with one fetch on the wire.
type reader struct {
	wire   *kafkawire.Client
	topic  string
	wanted func(key []byte) bool
	take   func(*schemas.Record)
	obs    Observer

	stop context.CancelFunc
	wg   sync.WaitGroup
	look wait.Signal // for refresh, before its time

	mu    sync.Mutex
	id    kafkawire.TopicID
	at    map[int32]kafkawire.LogPosition // by partition: where to read next
	leads map[int32]int32                 // by partition: its leader
	loops map[int32]wait.Signal           // by leader: set when it may lead others than before
}

const (
	lookInterval = time.Second            // between two looks at the partitions and their leaders
	readBackoff  = 100 * time.Millisecond // after a failure; longer after several in a row
	maxBackoffs  = 10                     // of those
)

var fetchLimits = kafkawire.FetchLimits{
	MaxWait: 500 * time.Millisecond, MaxBytes: 4 << 20, PartitionMaxBytes: 1 << 20, Pin: true, Memory: 8 << 20,
	Record: 2 * kafkawire.MaxRecordBytes, // a dead letter has more than its request
}

func newReader(s kafkawire.Settings, topic string, wanted func([]byte) bool, take func(*schemas.Record),
	obs Observer) *reader {
	return &reader{wire: kafkawire.NewClient(s, topic), topic: topic, wanted: wanted, take: take, obs: obs,
		look: wait.NewSignal(), leads: map[int32]int32{}, loops: map[int32]wait.Signal{}}
}

// open finds out where the topic ends and starts to read there. What passes by itself it waits out, until ctx ends.
func (r *reader) open(ctx context.Context) error {
	err := r.toEnd(ctx)
	for kafkawire.Transient(err) && !errors.Is(err, kafkawire.ErrNoTopic) {
		r.obs.Failing(r.failure(err))
		r.wire.Reset()
		if !wait.Sleep(ctx, readBackoff) {
			break
		}
		if again := r.toEnd(ctx); again == nil || wait.Ended(ctx) == nil { // else the one before says more
			err = again
		}
	}
	if err != nil {
		r.wire.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w; it fails: %w", ctx.Err(), err)
		}
		return err
	}
	running, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.wg.Go(func() { r.watch(running) })
	return nil
}

func (r *reader) close() {
	r.stop()
	r.wg.Wait()
	r.wire.Close()
}

func (r *reader) failure(err error) error { return fmt.Errorf("client: reading %s: %w", r.topic, err) }

// toEnd has all partitions read from their ends on.
func (r *reader) toEnd(ctx context.Context) error {
	if _, err := r.wire.DescribeTopic(ctx, r.topic); err != nil {
		return err // one that does not exist is no matter of time
	}
	id, err := r.wire.TopicID(ctx, r.topic)
	if err != nil {
		return err
	}
	partitions, err := r.wire.Partitions(ctx, r.topic)
	if err != nil {
		return err
	}
	ends, err := r.wire.ListOffsets(ctx, r.topic, partitions, kafkawire.Latest)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id, r.at = id, make(map[int32]kafkawire.LogPosition, len(ends))
	for p, offset := range ends {
		r.at[p] = kafkawire.LogPosition{Topic: id, Offset: offset, Epoch: kafkawire.NoEpoch}
	}
	return nil
}

// watch looks at the partitions and their leaders again and again until ctx ends, and then waits for the loops.
func (r *reader) watch(ctx context.Context) {
	defer func() {
		r.mu.Lock()
		loops := slices.Collect(maps.Values(r.loops))
		r.mu.Unlock()
		for _, l := range loops {
			l.Set()
		}
	}()
	for {
		if err := r.refresh(ctx); err != nil && ctx.Err() == nil {
			r.obs.Failing(r.failure(err))
			r.wire.Reset()
		}
		timer := time.NewTimer(lookInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.look:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// refresh takes in partitions that were added, from their beginning: an answer may have been the first record. Each
// leader has a loop.
func (r *reader) refresh(ctx context.Context) error {
	leaders, n, err := r.wire.Leaders(ctx, r.topic)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range int32(n) { //nolint:gosec // Kafka counts partitions with 32 bits
		if _, known := r.at[p]; !known {
			r.at[p] = kafkawire.LogPosition{Topic: r.id, Epoch: kafkawire.NoEpoch}
		}
	}
	r.leads = leaders
	for _, leader := range leaders {
		if r.loops[leader] == nil {
			changed := wait.NewSignal()
			r.loops[leader] = changed
			r.wg.Go(func() { r.loop(ctx, leader, changed) })
		}
	}
	for _, changed := range r.loops {
		changed.Set()
	}
	return nil
}

// wants has a session ask for what its leader leads, from where each is to be read.
func (r *reader) wants(s *kafkawire.FetchSession, leader int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, at := range r.at {
		if l, led := r.leads[p]; led && l == leader {
			s.Want(p, at)
		} else {
			s.Drop(p)
		}
	}
}

// loop reads what a broker leads until ctx ends.
func (r *reader) loop(ctx context.Context, leader int32, changed wait.Signal) {
	session := r.wire.FetchSession(leader, r.topic)
	for failures := 0; ctx.Err() == nil; {
		r.wants(session, leader)
		if session.Wanted() == 0 {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		fetched, err := session.Fetch(ctx, fetchLimits)
		for i := range fetched {
			err = errors.Join(err, r.accept(ctx, &fetched[i]))
		}
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() == nil {
			r.obs.Failing(r.failure(err))
		}
		r.wire.Reset()
		session.Begin()
		r.look.Set() // the leader may be another one
		failures = min(failures+1, maxBackoffs)
		wait.Sleep(ctx, time.Duration(failures)*readBackoff)
	}
}

// accept takes what a fetch has brought of one partition, and decides where to go on.
func (r *reader) accept(ctx context.Context, f *kafkawire.Fetched) error {
	for i := range f.Records {
		rec := &f.Records[i]
		if r.wanted(rec.Key) {
			r.take(&schemas.Record{
				Position: schemas.Position{Topic: r.topic, Partition: f.Partition, Offset: rec.Offset},
				Key:      rec.Key, Value: rec.Value, Headers: rec.Headers, Time: rec.Time, Oversized: rec.Oversized,
			})
		}
	}
	next := kafkawire.LogPosition{Topic: f.From.Topic, Offset: f.Next, Epoch: f.From.Epoch}
	if n := len(f.Epochs); n > 0 {
		next.Epoch = f.Epochs[n-1].Epoch
	}
	err := f.Err
	corrupt, isCorrupt := errors.AsType[*kafkawire.CorruptError](err)
	switch {
	case f.Diverged != nil: // what was read from there on is gone; what is there now was not read
		next.Offset, next.Epoch = min(next.Offset, f.Diverged.End), kafkawire.NoEpoch
	case isCorrupt: // an answer in it is lost, and the wait for it ends in time
		next.Offset, next.Epoch = corrupt.Beyond(f.Next), kafkawire.NoEpoch
	case kafkawire.OutOfRange(err), kafkawire.MadeAgain(err):
		return errors.Join(err, r.relocate(ctx, f.Partition))
	}
	r.moveTo(f.Partition, next)
	return err
}

// relocate goes on with a partition whose log does not hold the position that was asked for: the topic was made again,
// or the log has lost one of its ends. All that it holds may be news.
func (r *reader) relocate(ctx context.Context, partition int32) error {
	id, err := r.wire.TopicID(ctx, r.topic)
	if err != nil {
		return err
	}
	begins, err := r.wire.ListOffsets(ctx, r.topic, []int32{partition}, kafkawire.Earliest)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.id = id
	r.mu.Unlock()
	r.moveTo(partition, kafkawire.LogPosition{Topic: id, Offset: begins[partition], Epoch: kafkawire.NoEpoch})
	return nil
}

func (r *reader) moveTo(partition int32, at kafkawire.LogPosition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[partition] = at
}
