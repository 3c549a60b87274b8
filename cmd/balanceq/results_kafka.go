package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/cmd/internal/config"
	"github.com/balanceq/balanceq/cmd/internal/service"
	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"

	"golang.org/x/sync/errgroup"
)

// reachPatience is how long a command waits for Kafka before it says that it cannot be reached. It is short because a
// person waits; run has more.
const reachPatience = 10 * time.Second

// reachTopics checks that Kafka answers and has the topics, and describes them.
func reachTopics(ctx context.Context, cfg config.Config, names ...string) (kafkawire.Settings, []kafkawire.Topic, error) {
	settings, err := service.KafkaSettings(cfg)
	if err != nil {
		return settings, nil, err
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	limited, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	var topics []kafkawire.Topic
	var missing []error
	for _, name := range names {
		t, err := client.DescribeTopic(limited, name, "max.message.bytes")
		switch {
		case errors.Is(err, kafkawire.ErrNoTopic):
			missing = append(missing, errors.New(service.NoTopic(cfg.Kafka, name).String()))
		case ctx.Err() != nil:
			return settings, nil, errInterrupted
		case err != nil && t.Partitions == 0: // a topic whose configuration may not be read can be used all the same
			return settings, nil, fmt.Errorf("asking Kafka at kafka.brokers=%s: %w; %s",
				strings.Join(settings.Brokers, ","), err, service.KafkaFix(err))
		}
		topics = append(topics, t)
	}
	return settings, topics, errors.Join(missing...)
}

var errInterrupted = errors.New("interrupted")

// follower reads topics side by side, without a group.
type follower struct {
	settings kafkawire.Settings
	topics   []string
	from     int64 // as kafkawire.Reader's
	toEnd    bool
	ready    func() // called once: what is written from now on will be read
}

// follow calls each for every record, one at a time, until it returns false, ctx ends or, with toEnd, everything was read.
// None of these is an error.
func (f follower) follow(ctx context.Context, each func(*schemas.Record) bool) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var starting atomic.Int32
	starting.Store(int32(len(f.topics)))
	var mu sync.Mutex
	for _, topic := range f.topics {
		group.Go(func() error {
			// A connection carries one request at a time and a fetch may wait: a client each.
			client := kafkawire.NewClient(f.settings, topic)
			defer client.Close()
			reader := kafkawire.Reader{Client: client, Topic: topic, From: f.from, ToEnd: f.toEnd, Ready: func(int64) {
				if starting.Add(-1) == 0 {
					f.ready()
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
