package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
)

// skipOptions are the flags of skip.
type skipOptions struct {
	partition int32
	offset    int64
	execute   bool
}

func skipCommand(e *command.Env) *cobra.Command {
	o := &skipOptions{partition: -1, offset: -1}
	cmd := e.Configured(&cobra.Command{
		Use: "skip", Short: "Go on behind a batch of requests that cannot be read", Args: command.NoArguments,
		Long: `Lets the group go on behind a batch of the request topic that cannot be read: its checksum is wrong, or its format. The
requests in it are lost, as nothing can tell what they were. /readyz and the log name partition and offset.

Without --execute it shows what would be skipped, and changes nothing. What can be read is never skipped. The decision
is recorded in topics.replays (balanceq deadletters history shows it); the instance that holds the partition finds it
there within seconds, or the next one to start, and goes on. It says so as an error in its log.

Exit code 0: done, or shown. 1: there is nothing to skip, or Kafka fails. 2: wrong usage.`,
		Example: `  balanceq skip --partition 3 --offset 1042
  balanceq skip --partition 3 --offset 1042 --execute`,
	}, command.Needs(rights.Skip, func(ctx context.Context, c *command.Call) error {
		switch {
		case o.partition < 0:
			return command.WrongUsage(errors.New("--partition: name the partition, as /readyz and the log do"))
		case o.offset < 0:
			return command.WrongUsage(errors.New("--offset: name the offset, as /readyz and the log do"))
		}
		return command.Interrupted(ctx, skip(ctx, c, o))
	}))
	cmd.Flags().Int32Var(&o.partition, "partition", o.partition, "the `partition` of the request topic")
	cmd.Flags().Int64Var(&o.offset, "offset", o.offset, "the `offset` at which it stands still")
	command.NoDefault(cmd.Flags(), "partition", "offset")
	cmd.Flags().BoolVar(&o.execute, "execute", false, "do it, instead of showing what would be done")
	return cmd
}

func skip(ctx context.Context, c *command.Call, o *skipOptions) error {
	group, topic, replays := c.Config.Kafka.Group, c.Config.Topics.Requests, c.Config.Topics.Replays
	settings, described, err := c.ReachTopics(ctx, topic, replays)
	if err != nil {
		return err
	}
	if int(o.partition) >= described[0].Partitions {
		return command.WrongUsage(fmt.Errorf("--partition: %s has no partition %d; it has 0 to %d",
			topic, o.partition, described[0].Partitions-1))
	}
	wire := kafkawire.NewClient(settings, topic, replays)
	defer wire.Close()
	gap, why, err := unreadable(ctx, wire, topic, o.partition, o.offset)
	if err != nil {
		return err
	}
	at := fmt.Sprintf("offsets %d to %d of %s/%d (%s)", gap.From, gap.To-1, topic, o.partition,
		term.Count(gap.To-gap.From, "offset"))
	if !o.execute {
		_, err := fmt.Fprintf(c.Out,
			"%s cannot be read: %s\nto let group %s go on behind them, at %d: add --execute\n",
			at, printable.Text(why.Error()), group, gap.To)
		return err
	}
	id, err := wire.TopicID(ctx, topic)
	if err != nil {
		return err
	}
	now, by := time.Now(), instances.Operator()
	s := ledger.Skip{
		Run: ledger.NewRunID(now), Time: now, By: by, Group: group,
		Topic: topic, TopicID: id.String(),
		Partition: o.partition, From: gap.From, To: gap.To, Why: why.Error(),
	}
	if err := s.Record(ctx, wire, replays); err != nil {
		return fmt.Errorf("recording the decision in %s: %w", replays, err)
	}
	_, err = fmt.Fprintf(c.Out, "skipped %s, which cannot be read: %s\n"+
		"group %s goes on at %d as soon as the instance that holds the partition has seen it; "+
		"if it does not within a minute, see its log and whether it may read %s\n",
		at, printable.Text(why.Error()), group, gap.To, replays)
	return err
}

// What is read to find out whether a batch can be.
var skipLimits = kafkawire.FetchLimits{MaxWait: time.Second, MaxBytes: 1 << 20, PartitionMaxBytes: 64 << 10}

// maxNonsense is how many offsets one after the other are tried behind a batch whose head does not say where it ends.
const maxNonsense = 10_000

// unreadable returns which offsets from that one on cannot be read, and why. It is an error if they can.
func unreadable(
	ctx context.Context, wire *kafkawire.Client, topic string, partition int32, offset int64,
) (gap tail.Span, why, err error) {
	gap = tail.Span{From: offset, To: offset}
	for gap.To-gap.From < maxNonsense {
		f, err := fetchOne(ctx, wire, topic, partition, gap.To)
		corrupt, isCorrupt := errors.AsType[*kafkawire.CorruptError](f.Err)
		switch {
		case err != nil:
			return gap, nil, err
		case isCorrupt && f.Next == gap.To && (why == nil || corrupt.First != gap.To):
			at := gap.To
			if gap.To = corrupt.Beyond(at); why == nil {
				why = corrupt
			}
			if gap.To > at+1 {
				return gap, why, nil
			} // else its head may not say where it ends: the same batch may come again, which begins before
		case why != nil: // the end of what cannot be read
			return gap, why, nil
		case kafkawire.OutOfRange(f.Err):
			return gap, nil, fmt.Errorf("%s/%d has no offset %d: give the one that /readyz and the log name",
				topic, partition, offset)
		case f.Err != nil && f.Next == gap.To && corrupt == nil:
			return gap, nil, fmt.Errorf("reading %s/%d at offset %d: %w", topic, partition, offset, f.Err)
		case f.Next == gap.To:
			return gap, nil, fmt.Errorf("there is nothing at offset %d of %s/%d yet, so there is nothing to skip",
				offset, topic, partition)
		default:
			return gap, nil, fmt.Errorf("offset %d of %s/%d can be read, so it is not skipped; "+
				"give the one that /readyz and the log name", offset, topic, partition)
		}
	}
	return gap, why, nil
}

// fetchOne asks the leader of a partition, until there is one.
func fetchOne(
	ctx context.Context, wire *kafkawire.Client, topic string, partition int32, offset int64,
) (*kafkawire.Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, command.ReachTimeout)
	defer cancel()
	for {
		f, err := tryFetch(ctx, wire, topic, partition, offset)
		failed := err
		if err == nil {
			failed = f.Err
		}
		if failed == nil || !kafkawire.Transient(failed) {
			return f, err
		}
		wire.Reset()
		if !wait.Sleep(ctx, 200*time.Millisecond) {
			return nil, fmt.Errorf("reading %s/%d: %w", topic, partition, failed)
		}
	}
}

func tryFetch(
	ctx context.Context, wire *kafkawire.Client, topic string, partition int32, offset int64,
) (*kafkawire.Fetched, error) {
	leaders, _, err := wire.Leaders(ctx, topic)
	if err != nil {
		return nil, err
	}
	leader, ok := leaders[partition]
	if !ok {
		return nil, kafkawire.ErrNoLeader
	}
	fetched, err := wire.Fetch(ctx, leader, topic, map[int32]int64{partition: offset}, skipLimits)
	if err != nil {
		return nil, err
	}
	if len(fetched) != 1 {
		return nil, fmt.Errorf("the broker's answer has %d partitions instead of 1", len(fetched))
	}
	return &fetched[0], nil
}
