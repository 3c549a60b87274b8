package answers

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
	"github.com/balanceq/balanceq/schemas"
)

// Follower reads topics side by side, without a group.
type Follower struct {
	Settings kafkawire.Settings
	Topics   []string
	From     int64 // as tail.Reader's
	ToEnd    bool
	Ready    func() // called once: what is written from now on will be read
}

// Follow calls each for every record, one at a time, until it returns false, ctx ends or, with ToEnd, everything was
// read. None of these is an error.
func (f Follower) Follow(ctx context.Context, each func(*schemas.Record) bool) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var starting atomic.Int64
	starting.Store(int64(len(f.Topics)))
	var mu sync.Mutex
	for _, topic := range f.Topics {
		group.Go(func() error {
			// A connection carries one request at a time and a fetch may wait: a client each.
			client := kafkawire.NewClient(f.Settings, topic)
			defer client.Close()
			reader := tail.Reader{Client: client, Topic: topic, From: f.From, ToEnd: f.ToEnd, Ready: func(int64) {
				if starting.Add(-1) == 0 {
					f.Ready()
				}
			}}
			err := reader.Read(ctx, func(partition int32, rec *kafkawire.Record) bool {
				mu.Lock()
				defer mu.Unlock()
				// The other topic's reader may have been waiting for mu while each said that it is enough.
				if ctx.Err() != nil || !each(deadletter.Record(topic, partition, rec)) {
					stop()
					return false
				}
				return true
			})
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("reading %s: %w", topic, err)
			}
			return nil
		})
	}
	return group.Wait()
}
