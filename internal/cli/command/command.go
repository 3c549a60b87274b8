// Package command is what the commands of balanceq share: the environment they run in, how they are started, what their
// errors mean for the exit code, and the flags and checks that several of them have.
package command

import (
	"fmt"
	"io"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/telemetry"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// Say writes a line for people, beside what was asked for.
func (p *Env) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.Err, format+"\n", args...)
}

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong usage or configuration
)

// usageError is what the user can fix by calling the program differently.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// WrongUsage marks an error as one of usage: the program ends with exitUsage.
func WrongUsage(err error) error { return usageError{err} }

// Env is what the commands share.
type Env struct {
	Environ []string
	Out     io.Writer // what was asked for
	Err     io.Writer // logs, progress and complaints
}

// Load reads the configuration of a command made with configured.
func (p *Env) Load(cmd *cobra.Command) (*config.Loaded, error) {
	loaded, err := config.Load(cmd.Flags(), p.Environ)
	if err != nil {
		return nil, WrongUsage(err)
	}
	return loaded, nil
}

// Logger makes the log and writes the configuration's warnings to it.
func (p *Env) Logger(loaded *config.Loaded) (zerolog.Logger, error) {
	log, err := telemetry.NewLogger(p.Err, loaded.Config.Log.Level, loaded.Config.Log.Format)
	if err != nil {
		return log, WrongUsage(err)
	}
	for _, w := range loaded.Warnings {
		log.Warn().Msg(w)
	}
	return log, nil
}
