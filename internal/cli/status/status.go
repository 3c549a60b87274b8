package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire"
)

type options struct {
	services []string
	kafka    string
	output   string
	watch    bool
	interval time.Duration
	timeout  time.Duration
	maxLag   time.Duration
}

// Command is balanceq status.
func Command(e *command.Env) *cobra.Command {
	o := &options{}
	cmd := e.Configured(&cobra.Command{
		Use: "status", Short: "Show all instances and their group, what is wrong first", Args: command.NoArguments,
		Long: `Shows what is wrong, in one line and then in full, and who does what: all instances as they say themselves, and
their group as Kafka sees it. It asks the instances at their http.listen, which needs no login: --service names them, or
a host whose name has the addresses of all. Without it, the one at http.listen of the configuration is asked. It joins
no group and changes nothing. Where no instance can be reached it shows what Kafka tells; --kafka off leaves Kafka out.

LAG and OLDEST are those of requests that are not behind a committed offset. Needs attention: an instance that does not
answer, is not ready, or waits for the CMS, for Kafka or for an operator; a partition that no member holds; a member
that none of the named instances is, and an instance that is no member; a request older than --max-lag; a key that
expires within 30 days.

Exit code 0: all is well. 1: something needs attention. 2: wrong usage. --watch ends by Ctrl-C, with 0.`,
		Example: `  balanceq status
  balanceq status --service http://balanceq-0:8080,http://balanceq-1:8080
  balanceq status --service http://balanceq-headless:8080 --watch
  balanceq status --output json | jq .problems`,
	}, o.run)
	fs := cmd.Flags()
	fs.StringSliceVar(&o.services, "service", nil, "the instances, by the `URLs` of their http.listen")
	fs.StringVar(&o.kafka, "kafka", "on", "ask Kafka about the group, `on|off`")
	fs.StringVar(&o.output, "output", term.Text, "how to show it, `text|json`")
	fs.BoolVar(&o.watch, "watch", false, "look again and again: redraw on a terminal, else a line for each change")
	fs.DurationVar(&o.interval, "interval", 2*time.Second, "`time` between two looks of --watch")
	fs.DurationVar(&o.timeout, "timeout", 10*time.Second, "most `time` for one look")
	fs.DurationVar(&o.maxLag, "max-lag", time.Minute, "`age` of a request that needs attention")
	return cmd
}

func (o *options) check() error {
	switch {
	case o.kafka != "on" && o.kafka != "off":
		return fmt.Errorf("--kafka: %q is not known; write on or off", term.Shorten(o.kafka))
	case o.timeout <= 0:
		return fmt.Errorf("--timeout: %v; give at least 1s", o.timeout)
	case o.interval < 100*time.Millisecond:
		return fmt.Errorf("--interval: %v; give at least 100ms", o.interval)
	}
	return term.CheckOutput(o.output)
}

func (o *options) run(ctx context.Context, c *command.Call) error {
	if err := o.check(); err != nil {
		return command.WrongUsage(err)
	}
	urls, err := instances.URLs(o.services, instances.Listener{Key: "http.listen", Address: c.Config.HTTP.Listen})
	if err != nil {
		return command.WrongUsage(err)
	}
	if len(urls) == 0 && o.kafka == "off" {
		return command.WrongUsage(errors.New("http.listen and --kafka are off, so there is nothing to ask: " +
			"name instances with --service"))
	}
	s := &sight{urls: urls, named: len(o.services) > 0, config: c.Config, maxLag: o.maxLag}
	if o.kafka == "on" {
		settings, err := connect.Kafka(c.Config)
		if err != nil {
			return err
		}
		s.client = kafkawire.NewClient(settings, c.Config.Topics.Requests)
		defer s.client.Close()
	}
	show := newView(c.Out, o)
	for {
		looking, cancel := context.WithTimeout(ctx, o.timeout)
		d := s.look(looking)
		cancel()
		if ctx.Err() != nil && !o.watch {
			return command.ErrInterrupted
		}
		if ctx.Err() == nil {
			if err := show(d); err != nil {
				return err
			}
		}
		if !o.watch || !wait.Sleep(ctx, o.interval) {
			return verdict(d, o)
		}
	}
}

// verdict makes the exit code. The screen has said why.
func verdict(d *Document, o *options) error {
	if d.OK || o.watch {
		return nil
	}
	return fmt.Errorf("%s", term.Count(int64(len(d.Problems)), "problem"))
}
