// Package demo is the program balanceq-demo: a broker, the CMS simulator and the service in one process, an outage, and
// a check of the answers. It starts an embedded broker, sends traffic through the outage, shows what happens, and ends
// by checking from the topics that every request was answered once.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/interrupt"
)

// Exit codes, the same in all programs of balanceq.
const (
	exitDone   = 0
	exitFailed = 1 // also: the ledger does not balance, or were not checked
	exitUsage  = 2

	exitInterrupted = 130 // as shells report a program that Ctrl-C ended
)

// Main is the program: it ends the process with the exit code of Run.
func Main() {
	ctx := interrupt.Context(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `balanceq-demo shows balanceq at work: an embedded broker, a simulated CMS, the service and
sample traffic in one process, through an outage. It takes about half a minute and ends with
a check of its ledger; the exit code is 1 if it does not balance.

`

// run performs the demo and returns the exit code.
func run(ctx context.Context, args []string, stdout *os.File, stderr io.Writer) int {
	flags := pflag.NewFlagSet("balanceq-demo", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	plain := flags.Bool("plain", false, "write lines instead of a live view, as when the output is not a terminal")
	keep := flags.Bool("keep", false, "leave everything running after the summary, to be tried by hand")
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q: there are only flags", flags.Arg(0))
	}
	if errors.Is(err, pflag.ErrHelp) {
		_, _ = fmt.Fprint(stdout, usage, strings.ReplaceAll(flags.FlagUsages(), "[=true|false]", "")) // all are of one kind
		return exitDone
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "balanceq-demo: %v\nbalanceq-demo --help lists the flags.\n", err)
		return exitUsage
	}
	var v view = plainView{stdout}
	if !*plain && canDraw(stdout) {
		v = newTerminalView(stdout)
	}
	err = perform(ctx, stdout, v, *keep)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		_, _ = fmt.Fprintln(stderr, "balanceq-demo: stopped before the ledger could be checked")
		return exitInterrupted
	case !errors.Is(err, errLedger):
		_, _ = fmt.Fprintf(stderr, "balanceq-demo: %v\n", err)
	}
	return exitFailed
}

// canDraw says whether out is a terminal with colours and a cursor that can be moved. See no-color.org for NO_COLOR.
func canDraw(out *os.File) bool {
	return isatty.IsTerminal(out.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
