// Package request is the command that publishes balance requests, and waits for their results if asked to.
package request

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/rights"
)

// options are the flags of request.
type options struct {
	contracts, codes []string
	id, deadline     string
	file, format     string
	noValidate       bool
	skipInvalid      bool
	fromLine         int
	dryRun           bool
	rate             float64 // requests per second; 0: as fast as Kafka takes them
	wait             bool
	timeout          time.Duration
	failOnMissing    bool
	output           string
}

// Command is the command request.
func Command(e *command.Env) *cobra.Command {
	o := &options{}
	cmd := e.Configured(&cobra.Command{
		Use: "request", Short: "Publish requests, and wait for their answers", Args: command.NoArguments,
		Long: `Publishes requests, from flags or from a file, and with --wait shows the answers as they come.

A CSV file has a header line with the columns contractId and balanceCodes (codes separated by | or spaces, or by
commas within quotes) and may have requestId and deadline (RFC 3339, or a time from now such as 30s). An NDJSON file
has a request a line, published byte for byte. The record's key is the contract id. A whole file is checked before
any of it is published; of standard input, each line before it is published itself.

A request made from flags gets an id and shows it. --wait tells answers apart by their request ids, so there every
request without one gets one: in its JSON where that is made from flags or CSV, as the id of a CloudEvents event (header
ce_id) where the line is published byte for byte.

Exit code 0: everything was published and, with --wait, answered by a result (--fail-on-missing: with every balance
that was asked for). 1: something was not. 2: wrong usage.`,
		Example: `  balanceq request --contract 70001 --codes AVAILABLE,BLOCKED --wait
  balanceq request --file requests.csv --dry-run
  balanceq request --file requests.csv --rate 100 --from-line 5001
  generate | balanceq request --file - --format ndjson --wait --output json`,
	}, command.Needs(rights.Request, func(ctx context.Context, c *command.Call) error {
		if err := o.check(c.Flags); err != nil {
			return command.WrongUsage(err)
		}
		if o.dryRun {
			return dryRun(ctx, c, o, c.In)
		}
		return publishAll(ctx, c, o)
	}))
	o.register(cmd.Flags())
	return cmd
}

func (o *options) register(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.contracts, "contract", nil,
		"`ids` of contracts, comma-separated or in several flags: a request each")
	fs.StringSliceVar(&o.codes, "codes", nil, "balance `codes` to ask for, such as AVAILABLE,BLOCKED")
	fs.StringVar(&o.id, "id", "", "`id` of the request")
	fs.StringVar(&o.deadline, "deadline", "", "`time` after which the answer is of no use: 30s from now, or RFC 3339")
	fs.StringVar(&o.file, "file", "", "`path` of a file of requests, - for standard input")
	fs.StringVar(&o.format, "format", "", "format of the file, `csv|ndjson` (default: by its ending)")
	fs.BoolVar(&o.noValidate, "no-validate", false, "publish without checking, to try out dead letters")
	fs.BoolVar(&o.skipInvalid, "skip-invalid", false, "leave out lines that are not valid")
	fs.IntVar(&o.fromLine, "from-line", 0, "begin at this line `n` of the file, to go on where an earlier run stopped")
	fs.BoolVar(&o.dryRun, "dry-run", false, "only check the requests: publish nothing, and ask no broker")
	fs.Float64Var(&o.rate, "rate", 0, "at most `n` requests per second (default: as fast as Kafka takes them)")
	fs.BoolVar(&o.wait, "wait", false, "show the answers, and end when all are there")
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long a published request may wait for its answer")
	fs.BoolVar(&o.failOnMissing, "fail-on-missing", false, "a result that lacks a balance is a failure too")
	fs.StringVar(&o.output, "output", term.Text, "how to show the answers, `text|json`")
}

// check finds flags that do not go together.
func (o *options) check(fs *pflag.FlagSet) error {
	return errors.Join(o.checkInput(fs), o.checkPace(fs))
}

func (o *options) checkInput(fs *pflag.FlagSet) error {
	given := fs.Changed
	switch {
	case given("contract") && given("file"):
		return errors.New("--contract and --file: give one of them")
	case given("file"):
		for _, name := range []string{"codes", "id", "deadline"} {
			if given(name) {
				return fmt.Errorf("--%s: belongs to --contract; in a file every line has its own", name)
			}
		}
		if given("from-line") && o.fromLine < 1 {
			return fmt.Errorf("--from-line: %d is no line; the first one is 1", o.fromLine)
		}
		var err error
		o.format, err = command.FileFormat(o.file, o.format)
		return err
	case !given("contract"):
		return errors.New("nothing to publish: give --contract and --codes, or --file")
	case given("format"):
		return errors.New("--format: belongs to --file")
	case given("skip-invalid"):
		return errors.New("--skip-invalid: belongs to --file")
	case given("from-line"):
		return errors.New("--from-line: belongs to --file")
	case len(o.codes) == 0 && !o.noValidate:
		return errors.New("--codes: is missing; give the balance codes to ask for, for example --codes AVAILABLE,BLOCKED")
	case o.id != "" && len(o.contracts) > 1:
		return fmt.Errorf("--id: is one id for %d requests; leave it out, or publish them one by one", len(o.contracts))
	}
	return nil
}

func (o *options) checkPace(fs *pflag.FlagSet) error {
	if err := term.CheckOutput(o.output); err != nil {
		return err
	}
	switch {
	case o.rate < 0 || math.IsNaN(o.rate) || math.IsInf(o.rate, 0):
		return errors.New("--rate: is not a number of requests per second; write for example --rate 100")
	case fs.Changed("rate") && o.rate == 0:
		return errors.New("--rate: 0 requests per second would never end; leave it out to go as fast as Kafka does")
	case o.dryRun && (o.wait || o.noValidate || fs.Changed("rate")):
		return errors.New("--dry-run: publishes nothing; leave out --wait, --rate and --no-validate")
	case !o.wait && (fs.Changed("timeout") || fs.Changed("output") || o.failOnMissing):
		return errors.New("--timeout, --output and --fail-on-missing: are about the answers; add --wait")
	case o.timeout <= 0:
		return errors.New("--timeout: must be more than 0; write for example --timeout 30s")
	}
	return nil
}
