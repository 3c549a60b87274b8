// Package command is what the commands of balanceq share: what they run in, how a call of one begins and ends, what
// errors mean for the exit code, and the flags and checks that several of them have.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Env is what a program's commands run in.
type Env struct {
	Environ []string
	Out     io.Writer // what was asked for
	Err     io.Writer // logs, progress, warnings and errors
}

// Say writes a line for people beside what was asked for. It cannot fail: where Err is gone, there is no reader.
func (e *Env) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(e.Err, format+"\n", args...)
}

// Warn is Say for what may be wrong and does not end the command.
func (e *Env) Warn(format string, args ...any) { e.Say("warning: "+format, args...) }

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong usage or configuration
)

// usageError is what the user can fix by calling the program differently.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// WrongUsage marks an error as one of usage: the program ends with ExitUsage. It is nil for nil.
func WrongUsage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// ErrInterrupted ends a command that was stopped before it was done.
var ErrInterrupted = errors.New("interrupted")

// Interrupted is what an error means once ctx has ended.
func Interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}

// Execute runs a root command, prints its error, and returns the exit code.
func (e *Env) Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.SetOut(e.Out)
	root.SetErr(e.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitDone
	}
	for line := range strings.Lines(err.Error()) {
		e.Say("balanceq: %s", strings.TrimRight(line, "\n"))
	}
	if _, is := errors.AsType[usageError](err); is {
		return ExitUsage
	}
	return ExitFailed
}
