// Package doctor checks everything that `balanceq run` needs, one thing after the other, and says what to do about what
// it finds. It changes nothing, takes part in no group, and calls the CMS like a request of run does, at most once.
//
//	signing key ───────────────────────────────────────────────┐
//	decryption keys ───────────────────────────────────────────┤
//	authorities, client certificate ──┐                        │
//	DNS ── TCP ───────────────────── TLS ─┬─ clock             │
//	                                      └─────────────────── balance
//	Kafka files ── Kafka ── brokers ─┬─ topics ── order ── replies
//	                                 ├─ group
//	                                 └─ transactions
//	registry files ── schema registry
//	open files, admin access
//
// Each needs some keys of the configuration, too, and no others: where one is wrong, all checks go on that do not need
// it.
//
// No finding holds a secret: keys and passwords are never part of a text, and addresses are shown as host and port.
package doctor

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

// Status is what came of a check.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // run works, but somebody should look
	Fail Status = "fail" // run would not work
	Skip Status = "skip" // something is wrong that this one builds on
)

// Check is one thing to look at.
type Check struct {
	Name  string
	Needs []string // names of checks before this one that must pass (ok or warn)
	Keys  []string // of the configuration, and sections of it, that must be right
	Run   func(context.Context) []finding.Finding
}

// Result is what a check found, in one. Detail and Fix may have several lines; Fix is empty where there is nothing to
// do.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"`
}

// Run makes the checks in their order, but for those that need what is wrong, and yields each result as soon as it is
// known. It ends early when ctx does; the check that was under way yields nothing then.
func Run(ctx context.Context, checks []Check, wrong []config.Problem) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		passed := map[string]bool{}
		for _, c := range checks {
			var result Result
			if key, is := spoilt(wrong, c.Keys); is {
				result = Result{Name: c.Name, Status: Skip, Detail: "needs " + key}
			} else if missing := slices.IndexFunc(c.Needs, func(name string) bool { return !passed[name] }); missing >= 0 {
				result = Result{Name: c.Name, Status: Skip, Detail: "needs " + c.Needs[missing]}
			} else {
				result = summary(c.Name, c.Run(ctx))
			}
			passed[c.Name] = result.Status == OK || result.Status == Warn
			if ctx.Err() != nil || !yield(result) {
				return
			}
		}
	}
}

func ok(what string) []finding.Finding {
	return []finding.Finding{{What: what}}
}

func warn(what, fix string) []finding.Finding {
	return []finding.Finding{{What: what, Fix: fix, Severity: finding.Warn}}
}

func fail(what, fix string) []finding.Finding {
	return []finding.Finding{{What: what, Fix: fix, Severity: finding.Fail}}
}

// failed is fail for an error; fix is for what brings none.
func failed(err error, fix string) []finding.Finding {
	found := slices.Clone(finding.Of(err))
	for i := range found {
		found[i].Fix = cmp.Or(found[i].Fix, fix)
	}
	return found
}

// statuses are those that a check can find, by severity.
var statuses = [...]Status{finding.OK: OK, finding.Warn: Warn, finding.Fail: Fail}

// summary is the worst status of the findings, and each text and each fix on a line, once.
func summary(name string, found []finding.Finding) Result {
	worst := finding.OK
	var details, fixes []string
	add := func(lines *[]string, line string) {
		if line != "" && !slices.Contains(*lines, line) {
			*lines = append(*lines, line)
		}
	}
	for _, f := range found {
		worst = max(worst, f.Severity)
		add(&details, f.Text())
		add(&fixes, f.Remedy())
	}
	return Result{name, statuses[worst], strings.Join(details, "\n"), strings.Join(fixes, "\n")}
}
