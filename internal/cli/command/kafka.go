package command

import (
	"context"
	"errors"
	"time"

	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
)

// ReachTimeout is how long a command waits for Kafka before it says that it cannot be reached. It is short because a
// person waits; run has more.
const ReachTimeout = 10 * time.Second

// ReachTopics checks that Kafka answers and has the topics, and describes them in the same order.
func (c *Call) ReachTopics(ctx context.Context, names ...string) (kafkawire.Settings, []kafkawire.Topic, error) {
	settings, err := connect.Kafka(c.Config)
	if err != nil {
		return settings, nil, err
	}
	client := kafkawire.NewClient(settings)
	defer client.Close()
	limited, cancel := context.WithTimeout(ctx, ReachTimeout)
	defer cancel()
	var topics []kafkawire.Topic
	var missing []error
	for _, name := range names {
		t, err := client.DescribeTopic(limited, name, "max.message.bytes")
		switch {
		case errors.Is(err, kafkawire.ErrNoTopic):
			missing = append(missing, &finding.Error{Err: err,
				Findings: []finding.Finding{preflight.NoTopic(c.Config.Kafka, name)}})
		case ctx.Err() != nil:
			return settings, nil, ErrInterrupted
		case err != nil && t.Partitions == 0: // a topic whose configuration may not be read can be used all the same
			return settings, nil, preflight.Unasked(c.Config.Kafka, err)
		}
		topics = append(topics, t)
	}
	return settings, topics, errors.Join(missing...)
}

// Needs is a command for which somebody has to have rights: where Kafka refuses it, it says which are missing.
func Needs(purpose rights.Purpose, run func(context.Context, *Call) error) func(context.Context, *Call) error {
	return func(ctx context.Context, c *Call) error {
		err := run(ctx, c)
		hidden := errors.Is(err, kafkawire.ErrNoTopic) // or it does not exist
		if !hidden && !kafkawire.Forbidden(err) {
			return err
		}
		lacking := finding.Join(preflight.Lacking(ctx, c.Config, purpose, err)...)
		if hidden && lacking != nil {
			return lacking
		}
		return errors.Join(err, lacking)
	}
}
