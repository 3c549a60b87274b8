package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/telemetry"
)

// healthTimeout is less than what container engines and Kubernetes give a check that runs a program.
const healthTimeout = 5 * time.Second

func healthCommand(e *command.Env) *cobra.Command {
	ready := false
	cmd := command.WithConfig(&cobra.Command{
		Use: "health", Short: "Ask the instance beside it whether it is well, for health checks", Args: command.NoArguments,
		Long: `Asks the instance in the same container or on the same host, at http.listen of the same configuration, whether
it is alive: it moves, or has a reason not to, such as an outage of the CMS. --ready asks whether it is in its group,
too.
That is /livez and /readyz, for what can run a program but not ask over HTTP, like the HEALTHCHECK of an image.

It has to find what run has found: give it the flags that run has for http.listen, or set that in the environment or in
the file that BALANCEQ_CONFIG names.

Exit code 0: it is. 1: it is not, or does not answer within 5 s. 2: wrong usage or configuration.`,
		Example: `  balanceq health
  balanceq health --ready --config balanceq.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(cmd.Flags(), e.Environ) // its warnings are in the log of run
			if err != nil {
				return command.WrongUsage(err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			line, err := health(ctx, loaded.Config.HTTP.Listen, ready)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.Out, line)
			return err
		},
	})
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is in its group, too")
	return cmd
}

// health asks the instance at listen and returns a line that says that it is well; an error if it is not.
func health(ctx context.Context, listen string, ready bool) (string, error) {
	urls, err := instances.URLs(nil, instances.Listener{Key: "http.listen", Address: listen})
	switch {
	case err != nil:
		return "", command.WrongUsage(err)
	case len(urls) == 0:
		return "", command.WrongUsage(errors.New("http.listen is off, so there is nothing to ask: " +
			"set it to 127.0.0.1:8080, or switch the health check off"))
	}
	instance := instances.At(urls[0], instances.Access{})
	if !ready {
		alive, why, err := instance.Alive(ctx)
		if err == nil && !alive {
			err = errors.New(why)
		}
		return "alive", err
	}
	h, err := instance.Ready(ctx)
	if err != nil {
		return "", err
	}
	if !h.Ready {
		return "", fmt.Errorf("not ready: %s", printable.Text(h.Why))
	}
	return readiness(h), nil
}

// readiness says what a ready instance does.
func readiness(h telemetry.Health) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ready: %s, %s in flight, lag %d", term.Count(int64(h.Partitions), "partition"),
		term.Count(int64(h.InFlight), "request"), h.Lag)
	if h.Waiting != "" {
		b.WriteString("; waits: " + printable.Text(h.Waiting))
	}
	return b.String()
}
