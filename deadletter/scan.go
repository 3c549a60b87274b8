package deadletter

import (
	"context"
	"errors"
	"fmt"

	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/schemas"
)

// Scan reads the dead-letter topic from a time to where it ends now, all partitions at once, without a group: it takes
// nothing away from anybody.
type Scan struct {
	Client *kafkawire.Client // for this scan alone: a connection carries one request at a time
	Topic  string
	From   int64 // as tail.Reader's
	Filter Filter
	// Ends, if set, are where partitions end for this scan, whatever has come since.
	Ends map[int32]int64
	// Ready, if set, is told before the first letter how many there are to read, at most.
	Ready func(ahead int64)
	// Progress, if set, is told after each letter how many have been read, wanted or not.
	Progress func(read int64)
	// Skipped, if set, is told of what cannot be read. Otherwise the scan ends with such an error.
	Skipped func(Gap)
}

// Gap are letters that cannot be read.
type Gap struct {
	Partition int32
	tail.Span
	Why error // kafkawire.ErrCorrupt, ErrOversized, or that the topic has deleted them since the scan began
}

// Corrupt says that the letters are there and cannot be decoded.
func (g Gap) Corrupt() bool {
	return errors.Is(g.Why, kafkawire.ErrCorrupt) || errors.Is(g.Why, ErrOversized)
}

// ErrOversized says that a record is too large to be read, so that nothing is known of it but where it stands.
var ErrOversized = errors.New("a record is too large to be read")

// oversized tells of a record that was not read whole: without its headers nothing can be said about it, nor done with
// it.
func (s Scan) oversized(partition int32, rec *kafkawire.Record) error {
	why := fmt.Errorf("%w: %s", ErrOversized, rec.Oversized.Why)
	if s.Skipped == nil {
		return fmt.Errorf("reading %s/%d at offset %d: %w", s.Topic, partition, rec.Offset, why)
	}
	s.Skipped(Gap{partition, tail.Span{From: rec.Offset, To: rec.Offset + 1}, why})
	return nil
}

// Each calls wanted for every letter that the filter lets pass, in the order of each partition, until it returns an
// error, which Each returns, or ctx ends. A letter aliases what it was fetched with, and keeps that in memory.
func (s Scan) Each(ctx context.Context, wanted func(*Letter) error) error {
	var read int64
	var failed error
	reader := tail.Reader{Client: s.Client, Topic: s.Topic, From: s.From, ToEnd: true, Within: s.within(), Ready: s.Ready}
	if s.Skipped != nil {
		reader.Skipped = func(partition int32, gap tail.Span, why error) { s.Skipped(Gap{partition, gap, why}) }
	}
	err := reader.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
		if rec.Oversized != nil {
			failed = s.oversized(partition, rec)
		} else if l := Read(Record(s.Topic, partition, rec)); s.Filter.Passes(l) {
			failed = wanted(l)
		}
		read++
		if s.Progress != nil {
			s.Progress(read)
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.Topic, err)
	}
	return nil
}

// within are the only offsets that have to be read; nil: all.
func (s Scan) within() map[int32]tail.Span {
	spans := s.Filter.within()
	if s.Ends == nil {
		return spans
	}
	bounded := map[int32]tail.Span{}
	for p, end := range s.Ends {
		span, wanted := spans[p]
		switch {
		case spans == nil:
			bounded[p] = tail.Span{To: end}
		case wanted:
			bounded[p] = tail.Span{From: span.From, To: min(span.To, end)}
		}
	}
	return bounded
}

// Ends are the offsets at which the partitions of a topic end now.
func Ends(ctx context.Context, client *kafkawire.Client, topic string) (map[int32]int64, error) {
	partitions, err := client.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	return client.ListOffsets(ctx, topic, partitions, kafkawire.Latest)
}

// Record puts a record of a topic's partition into the form that the schemas read.
func Record(topic string, partition int32, rec *kafkawire.Record) *schemas.Record {
	return &schemas.Record{
		Position: schemas.Position{Topic: topic, Partition: partition, Offset: rec.Offset},
		Key:      rec.Key, Value: rec.Value, Headers: rec.Headers, Time: rec.Time, Oversized: rec.Oversized,
	}
}
