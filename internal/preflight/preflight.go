package preflight

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/wait"
)

// Check is one thing to look at in the cluster. It finds something at any rate: what it saw, where nothing is wrong. It
// changes nothing, and its error, a *finding.Error, says that the cluster could not be asked.
type Check func(ctx context.Context, c *Cluster) ([]finding.Finding, error)

const (
	// Timeout is what a cluster that is starting too gets, and a group to become free.
	Timeout     = 30 * time.Second
	kafkaPause  = time.Second
	dialTimeout = 3 * time.Second
)

// Run checks the limit of open files, brokers, topics, group, transactions and the CMS's address before the service
// joins the group. Warnings are logged; the error, a *finding.Error, is everything that would prevent it from working.
func Run(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	if err := report(CheckFiles(cfg), log); err != nil {
		return err
	}
	cluster, err := Open(cfg, log, Timeout)
	if err != nil {
		return err
	}
	defer cluster.Close()
	found, err := CheckBrokers(ctx, cluster)
	if err != nil {
		return err
	}
	if err := report(found, log); err != nil {
		return err // they would cut the connection at what the other checks ask
	}
	found, err = sideBySide(ctx, cluster, CheckTopics, repeated(CheckTransactions), repeated(CheckGroup), checkCMS,
		repeated(checkRegistry))
	if err != nil {
		return err
	}
	return report(found, log)
}

// sideBySide makes checks at the same time, as each waits for nearly all of its own, and returns what they find in
// their order.
func sideBySide(ctx context.Context, c *Cluster, checks ...Check) ([]finding.Finding, error) {
	found := make([][]finding.Finding, len(checks))
	group, ctx := errgroup.WithContext(ctx)
	for i, check := range checks {
		group.Go(func() (err error) {
			found[i], err = check(ctx, c)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// report logs the warnings and joins what is worse.
func report(found []finding.Finding, log zerolog.Logger) error {
	var failures []finding.Finding
	for _, f := range found {
		switch f.Severity {
		case finding.Fail:
			failures = append(failures, f)
		case finding.Warn:
			log.Warn().Str("event", "preflight_warning").Str("fix", f.Remedy()).Msg(f.Text())
		case finding.OK:
		}
	}
	return finding.Join(failures...)
}

// orSeen is what was found, and what was seen where that is nothing.
func orSeen(found []finding.Finding, format string, args ...any) []finding.Finding {
	if len(found) > 0 {
		return found
	}
	return []finding.Finding{{What: fmt.Sprintf(format, args...)}}
}

// repeated makes a check again, for some time, while it finds what may be over by itself.
func repeated(check Check) Check {
	return func(ctx context.Context, c *Cluster) ([]finding.Finding, error) {
		told := false
		for deadline := time.Now().Add(Timeout); ; {
			found, err := check(ctx, c)
			at := slices.IndexFunc(found, func(f finding.Finding) bool { return f.Passing })
			if err != nil || at < 0 || time.Now().After(deadline) {
				return found, err
			}
			if !told {
				told = true
				c.log.Warn().Str("event", "preflight_waiting").Str("fix", found[at].Remedy()).
					Int64("limit_ms", Timeout.Milliseconds()).Msg("waiting: " + found[at].Text())
			}
			if !wait.Sleep(ctx, kafkaPause) {
				return found, nil
			}
		}
	}
}
