package deadletters

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/kafkawire"
)

// letterScan reads dead letters for a command, with a progress bar.
type letterScan struct {
	*command.Call
	query *scanQuery
	bar   *term.Progress
	// gap, if set, is told of what cannot be read; the scan says it on standard error too.
	gap   func(deadletter.Gap)
	quiet bool             // nothing is said on standard error
	draw  func(read int64) // shows how far it has come
}

func newScan(c *command.Call, q *scanQuery) *letterScan {
	bar := term.NewProgress(c.Err, -1)
	bar.Unit = "records"
	return &letterScan{Call: c, query: q, bar: bar, draw: func(read int64) { bar.Draw(read, "reading dead letters") }}
}

// progressEvery keeps the bar from costing more than the reading.
const progressEvery = 4096

// errEnough ends a scan that has what it wants. It is no error to each's caller.
var errEnough = errors.New("enough")

// each calls wanted for every letter that the query asks for. An interrupted scan is errInterrupted.
func (s *letterScan) each(ctx context.Context, wanted func(*deadletter.Letter) error) error {
	topics := []string{s.Config.Topics.DeadLetters}
	if s.query.notReplayed {
		topics = append(topics, s.Config.Topics.Replays)
	}
	settings, described, err := s.ReachTopics(ctx, topics...)
	if err != nil {
		return err
	}
	if err := s.query.checkPartition(described[0]); err != nil {
		return err
	}
	if s.query.notReplayed {
		if s.query.Except, err = replayed(ctx, settings, s.Config.Topics); err != nil {
			return err
		}
	}
	debug.SetGCPercent(200) // a scan makes much garbage and keeps little: a third faster for some MB more
	return s.read(ctx, settings, wanted)
}

func (s *letterScan) read(ctx context.Context, settings kafkawire.Settings,
	wanted func(*deadletter.Letter) error) error {
	topic := s.Config.Topics.DeadLetters
	client := kafkawire.NewClient(settings, topic)
	defer client.Close()
	defer s.bar.End()
	var own error // what wanted has returned
	err := deadletter.Scan{
		Client: client, Topic: topic, From: s.query.from, Filter: s.query.Filter, Ends: s.query.ends,
		Ready: s.bar.Size,
		Progress: func(read int64) {
			if read%progressEvery == 0 {
				s.draw(read)
			}
		},
		Skipped: func(g deadletter.Gap) {
			if !s.quiet {
				s.bar.Clear()
				warnGap(s.Call, topic, g)
			}
			if s.gap != nil {
				s.gap(g)
			}
		},
	}.Each(ctx, func(l *deadletter.Letter) error {
		own = wanted(l)
		return own
	})
	switch {
	case errors.Is(own, errEnough):
		return nil
	case own != nil:
		return own
	case ctx.Err() != nil:
		return command.ErrInterrupted
	}
	return err
}

// warnGap says on standard error what cannot be read.
func warnGap(c *command.Call, topic string, g deadletter.Gap) {
	what := "were deleted by the topic's retention while it was read"
	if g.Corrupt() {
		what = "cannot be read: " + printable.Text(g.Why.Error())
	}
	c.Warn("offsets %d to %d of %s/%d %s", g.From, g.To-1, topic, g.Partition, what)
}

// replayed says which dead letters have been replayed.
func replayed(ctx context.Context, settings kafkawire.Settings, topics config.Topics) (*deadletter.Positions, error) {
	wire := kafkawire.NewClient(settings, topics.DeadLetters)
	defer wire.Close()
	id, err := wire.TopicID(ctx, topics.DeadLetters)
	if err != nil {
		return nil, command.Interrupted(ctx, err)
	}
	reading := kafkawire.NewClient(settings, topics.Replays)
	defer reading.Close()
	reader := ledger.Reader{Client: reading, Topic: topics.Replays}
	letters, err := reader.Replayed(ctx, topics.DeadLetters, id.String())
	return letters, command.Interrupted(ctx, err)
}
