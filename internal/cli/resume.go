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
	var flags instances.AccessFlags
	timeout := 10 * time.Second
	cmd := e.Configured(&cobra.Command{
		Use: "resume", Short: "Let instances go on that hold dead letters because there are too many",
		Args: command.NoArguments,
		Long: `Lets instances go on that hold dead letters because more than deadletters.budget of their requests would have become
some. Look first: balanceq deadletters list shows what they are about. What was held is then asked for once more, and
becomes a dead letter where the answer is the same. The instance holds none again for the same incident: only after a
whole deadletters.budget-window without too many.

Each instance decides by itself, so each has to be asked, at its http.admin: --service names them, or a host whose name
has the addresses of all. Without it the one at http.admin of the configuration is asked. Where http.admin is on the
loopback address, as it is unless set, the command has to run beside the instance: in its container or on its host.

Exit code 0: every instance goes on, or was not paused. 1: one could not be asked. 2: wrong usage.`,
		Example: `  balanceq resume
  balanceq resume --service http://balanceq-0:8081,http://balanceq-1:8081 --token-file admin-token`,
	}, func(ctx context.Context, c *command.Call) error {
		urls, err := instances.URLs(services, instances.Listener{Key: "http.admin", Address: c.Config.HTTP.Admin,
			TLS: c.Config.HTTP.AdminTLS.CertFile != ""})
		access, denied := flags.Load(c.Config.HTTP)
		switch {
		case err != nil:
			return command.WrongUsage(err)
		case len(urls) == 0:
			return command.WrongUsage(errors.New("http.admin is off, so there is no instance to ask: " +
				"name those that serve it with --service, or restart the instance, which also counts from zero again"))
		case denied != nil:
			return command.WrongUsage(denied)
		case timeout <= 0:
			return command.WrongUsage(fmt.Errorf("--timeout: %v; give at least 1s", timeout))
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return resume(ctx, c.Out, instances.All(ctx, urls, access))
	})
	cmd.Flags().StringSliceVar(&services, "service", nil, "the instances, by the `URLs` of their http.admin")
	flags.Register(cmd.Flags())
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "most `time` to take for all of them")
	return cmd
}

// resume asks one after the other, and says what each did.
func resume(ctx context.Context, out io.Writer, all []instances.Instance) error {
	operator := instances.Operator()
	var failed []error
	for _, instance := range all {
		answer, err := instance.Resume(ctx, operator)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		did := "resumed"
		if !answer.Resumed {
			did = "nothing to do"
		}
		_, err = fmt.Fprintf(out, "%s (%s): %s; %s\n",
			printable.Text(answer.Instance), instance.URL, did, printable.Text(answer.Was))
		if err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		failed = append(failed,
			errors.New("is each running, with its http.admin at that address? name others with --service http://host:port"))
	}
	return errors.Join(failed...)
}
