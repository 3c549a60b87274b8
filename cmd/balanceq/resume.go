package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) resumeCommand() *cobra.Command {
	var services []string
	timeout := 10 * time.Second
	cmd := configured(&cobra.Command{
		Use: "resume", Short: "Let instances go on that were paused by too many dead letters", Args: noArguments,
		Long: `Lets instances go on that paused because more than deadletters.budget of their requests would have become dead
letters. Look first: balanceq deadletters list shows what they are about. What was held is then written, and the
instance does not pause again for the same incident: only after a whole deadletters.budget-window without too many.

Each instance decides by itself, so each has to be asked: --service names them. Without it the one at http.listen of
the configuration is asked.

Exit code 0: every instance goes on, or was not paused. 1: one could not be asked. 2: wrong usage.`,
		Example: `  balanceq resume
  balanceq resume --service http://balanceq-0:8080,http://balanceq-1:8080`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd)
			if err != nil {
				return err
			}
			urls, err := serviceURLs(services, loaded.Config.HTTP.Listen)
			switch {
			case err != nil:
				return usageError{err}
			case len(urls) == 0:
				return usageError{errors.New("http.listen is off, so there is no instance to ask: name those that serve HTTP with --service, " +
					"or restart the instance, which also starts counting anew")}
			case timeout <= 0:
				return usageError{fmt.Errorf("--timeout: %v; give at least 1s", timeout)}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return p.resume(ctx, urls)
		},
	})
	cmd.Flags().StringSliceVar(&services, "service", nil, "the instances, by the `URLs` of their http.listen")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "most `time` to take for all of them")
	return cmd
}

// resume asks one after the other, and tells of each.
func (p *program) resume(ctx context.Context, urls []string) error {
	who := operator()
	var failed []error
	for _, url := range urls {
		answer, err := serviceInstance{url}.resume(ctx, who)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		did := "resumed"
		if !answer.Resumed {
			did = "nothing to do"
		}
		if _, err := fmt.Fprintf(p.out, "%s (%s): %s; %s\n", printable(answer.Instance), url, did, printable(answer.Was)); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		failed = append(failed, errors.New("is each running, with its http.listen at that address? name others with --service http://host:port"))
	}
	return errors.Join(failed...)
}
