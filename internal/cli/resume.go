package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/printable"
)

func resumeCommand(e *command.Env) *cobra.Command {
	var services []string
	timeout := 10 * time.Second
	cmd := e.Configured(&cobra.Command{
		Use: "resume", Short: "Let instances go on that were paused by too many dead letters", Args: command.NoArguments,
		Long: `Lets instances go on that paused because more than deadletters.budget of their requests would have become dead
letters. Look first: balanceq deadletters list shows what they are about. What was held is then written, and the
instance does not pause again for the same incident: only after a whole deadletters.budget-window without too many.

Each instance decides by itself, so each has to be asked: --service names them. Without it the one at http.listen of
the configuration is asked.

Exit code 0: every instance goes on, or was not paused. 1: one could not be asked. 2: wrong usage.`,
		Example: `  balanceq resume
  balanceq resume --service http://balanceq-0:8080,http://balanceq-1:8080`,
	}, func(ctx context.Context, c *command.Call) error {
		urls, err := instances.URLs(services, c.Config.HTTP.Listen)
		switch {
		case err != nil:
			return command.WrongUsage(err)
		case len(urls) == 0:
			return command.WrongUsage(errors.New("http.listen is off, so there is no instance to ask: " +
				"name those that serve HTTP with --service, or restart the instance, which also counts from zero again"))
		case timeout <= 0:
			return command.WrongUsage(fmt.Errorf("--timeout: %v; give at least 1s", timeout))
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return resume(ctx, c.Out, urls)
	})
	cmd.Flags().StringSliceVar(&services, "service", nil, "the instances, by the `URLs` of their http.listen")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "most `time` to take for all of them")
	return cmd
}

// resume asks one after the other, and says what each did.
func resume(ctx context.Context, out io.Writer, urls []string) error {
	operator := instances.Operator()
	var failed []error
	for _, url := range urls {
		answer, err := instances.Instance{URL: url}.Resume(ctx, operator)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		did := "resumed"
		if !answer.Resumed {
			did = "nothing to do"
		}
		_, err = fmt.Fprintf(out, "%s (%s): %s; %s\n",
			printable.Text(answer.Instance), url, did, printable.Text(answer.Was))
		if err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		failed = append(failed,
			errors.New("is each running, with its http.listen at that address? name others with --service http://host:port"))
	}
	return errors.Join(failed...)
}
