package deadletter

import (
	"context"
	"fmt"

	"balanceq/kafkawire"
	"balanceq/schemas"
)

// Scan reads the dead-letter topic from a time to where it ends now, all partitions at once, without a group: it takes nothing
// away from anybody.
type Scan struct {
	Client *kafkawire.Client // for this scan alone: a connection carries one request at a time
	Topic  string
	From   int64 // as kafkawire.Reader's
	Filter Filter
	// Ready, if set, is told before the first letter how many there are to read, at most.
	Ready func(ahead int64)
	// Progress, if set, is told after each letter how many have been read, wanted or not.
	Progress func(read int64)
}

// Each calls wanted for every letter that the filter lets pass, in the order of each partition, until it returns an error, which
// Each returns, or ctx ends. A letter aliases what it was fetched with: keep a copy of what is to outlive the call.
func (s Scan) Each(ctx context.Context, wanted func(*Letter) error) error {
	var read int64
	var failed error
	reader := kafkawire.Reader{Client: s.Client, Topic: s.Topic, From: s.From, ToEnd: true, Ready: s.Ready}
	err := reader.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
		l := Read(s.record(partition, rec))
		if s.Filter.Passes(l) {
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

func (s Scan) record(partition int32, rec *kafkawire.Record) *schemas.Record {
	r := &schemas.Record{
		Position: schemas.Position{Topic: s.Topic, Partition: partition, Offset: rec.Offset},
		Key:      rec.Key, Value: rec.Value, Time: rec.Time, Headers: make([]schemas.Header, len(rec.Headers)),
	}
	for i, h := range rec.Headers {
		r.Headers[i] = schemas.Header(h)
	}
	return r
}
