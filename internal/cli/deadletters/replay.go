package deadletters

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/internal/rights"
)

// replayOptions are the flags of deadletters replay.
type replayOptions struct {
	filterFlags
	execute       bool
	all           bool
	edit          bool
	canary        string
	canaryTimeout time.Duration
	rate          float64 // letters per second; 0: as fast as Kafka takes them
	limit         int64
	maxReplays    int
	services      []string
	output        string
}

const (
	canaryOn  = "on"
	canaryOff = "off"
)

func replayCommand(e *command.Env) *cobra.Command {
	o := &replayOptions{}
	cmd := e.Configured(&cobra.Command{
		Use: "replay", Short: "Put the requests of dead letters back on the request topic", Args: command.NoArguments,
		Long: `Puts the requests of dead letters back on the request topic: key, value and headers byte for byte, with a replay count
and headers that link them to their dead letters. Without --execute it only counts what it would replay.

Each dead letter is replayed once. The request and a record of its replay (who, when, which) are written in one
transaction, so a replay that was killed goes on where it stopped when the same command is given again. Of two
replays at the same time the later one goes on and the earlier one ends. What fails again is a new dead letter, up
to --max-replays of them.

First one request is replayed, then ten, then the rest: it goes on only while all of those get results. It pauses while
an instance of the service has its circuit breaker open, is halted or paused.`,
		Example: `  balanceq deadletters replay --reason contract-not-found --contract 70001
  balanceq deadletters replay --reason contract-not-found --contract 70001 --execute
  balanceq deadletters replay --since 2h --rate 100 --execute
  balanceq deadletters replay --all --execute
  balanceq deadletters replay --partition 3 --offset 17 --edit --execute`,
	}, command.Needs(rights.Replay, func(ctx context.Context, c *command.Call) error {
		q, err := o.check(time.Now())
		if err == nil {
			err = o.checkAll(filterText(c.Flags))
		}
		if err != nil {
			return command.WrongUsage(err)
		}
		urls, err := instances.URLs(o.services, instances.Listener{Key: "http.listen", Address: c.Config.HTTP.Listen})
		if err != nil {
			return command.WrongUsage(err)
		}
		r := &replayRun{
			Call: c, o: o, query: q, filter: filterText(c.Flags),
			watch: &serviceWatch{Env: c.Env, strict: len(o.services) > 0},
		}
		r.watch.instances = instances.All(ctx, urls, instances.Access{})
		return r.run(ctx)
	}))
	fs := cmd.Flags()
	o.filterFlags.register(fs)
	o.register(fs)
	return cmd
}

func (o *replayOptions) register(fs *pflag.FlagSet) {
	fs.BoolVar(&o.execute, "execute", false, "replay; without it, nothing is written")
	fs.BoolVar(&o.all, "all", false, "replay every dead letter, where no filter is given")
	fs.BoolVar(&o.edit, "edit", false,
		"edit the request in $EDITOR first; for one dead letter, with --partition and --offset")
	fs.StringVar(&o.canary, "canary", canaryOn, "replay 1, then 10, then the rest, as long as those get results, `on|off`")
	fs.DurationVar(&o.canaryTimeout, "canary-timeout", time.Minute, "time that the first ones have to get their results")
	fs.Float64Var(&o.rate, "rate", 0, "at most `n` requests per second (default: as fast as Kafka takes them)")
	fs.Int64Var(&o.limit, "limit", 0, "replay only the first `n`")
	fs.IntVar(&o.maxReplays, "max-replays", 3, "leave out requests that have been replayed so often already")
	fs.StringSliceVar(&o.services, "service", nil, "`URLs` of instances to watch (default: the address of http.listen)")
	fs.StringVar(&o.output, "output", term.Text, "how to show the counts, `text|json`")
}

func (o *replayOptions) check(now time.Time) (*scanQuery, error) {
	q, err := o.query(now)
	switch {
	case err != nil:
		return nil, err
	case o.canary != canaryOn && o.canary != canaryOff:
		return nil, fmt.Errorf("--canary: %q is not known; write on or off", term.Shorten(o.canary))
	case o.canaryTimeout < time.Second:
		return nil, fmt.Errorf("--canary-timeout: %v is less than a second; write for example 1m", o.canaryTimeout)
	case !(o.rate >= 0 && o.rate <= 1e6): // written so that NaN fails
		return nil, fmt.Errorf("--rate: %v is not between 0 and 1000000; write for example --rate 100", o.rate)
	case o.limit < 0:
		return nil, fmt.Errorf("--limit: %d is less than 0; write for example --limit 10", o.limit)
	case o.maxReplays < 1:
		return nil, fmt.Errorf("--max-replays: %d would leave out all; write at least 1", o.maxReplays)
	case o.edit && (o.partition < 0 || o.offset < 0):
		return nil, errors.New("--edit: is for one dead letter; name it with --partition and --offset")
	case o.edit && !o.execute:
		return nil, errors.New("--edit: what was edited is replayed at once; add --execute")
	}
	q.notReplayed = false // the rules see to that, and count them
	return q, term.CheckOutput(o.output)
}

// checkAll sees to it that every dead letter is replayed by someone who has asked for every dead letter.
func (o *replayOptions) checkAll(filter string) error {
	chosen := filter != "" || o.limit > 0
	switch {
	case o.all && chosen:
		return errors.New("--all: is for a replay of every dead letter; leave it out, or the filters and --limit")
	case o.execute && !o.all && !chosen:
		return errors.New(
			"--execute: would replay every dead letter; choose some, for example with --reason or --since, or add --all")
	}
	return nil
}

// filterText is the part of the command line that chose the letters, for the ledger.
func filterText(fs *pflag.FlagSet) string {
	var all []string
	for _, name := range filterFlagNames {
		if f := fs.Lookup(name); f != nil && f.Changed {
			value := f.Value.String()
			if list, is := f.Value.(pflag.SliceValue); is {
				value = strings.Join(list.GetSlice(), ",")
			}
			if strings.ContainsAny(value, " \"'") {
				value = strconv.Quote(value)
			}
			all = append(all, "--"+name+" "+value)
		}
	}
	return printable.Text(strings.ToValidUTF8(strings.Join(all, " "), "\uFFFD"))
}
