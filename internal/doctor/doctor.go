// Package doctor checks everything that `balanceq run` needs, one thing after the other, and says what to do about what it
// finds. It changes nothing, takes part in no group, and calls the CMS like a request of run does, at most once.
//
//	configuration ─┬─ signing key ──────────────────────────────────┐
//	               ├─ decryption keys ──────────────────────────────┤
//	               ├─ client certificate ─────────┐                 │
//	               ├─ DNS ── TCP ─────────────── TLS ── clock       │
//	               │                              └───────────── balance
//	               └─ Kafka ── brokers ─┬─ topics ── order
//	                                    ├─ group
//	                                    └─ transactions
//
// No finding holds a secret: keys and passwords are never part of a text, and addresses are shown as host and port.
package doctor

import (
	"context"
	"iter"
	"slices"
	"strings"
)

// Status is what came of a check.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // run works, but somebody should look
	Fail Status = "fail" // run would not work
	Skip Status = "skip" // a check that this one builds on did not pass
)

// Finding is what a check found. Detail and Fix may have several lines; Fix is empty where there is nothing to do.
type Finding struct {
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"`
}

// Check is one thing to look at.
type Check struct {
	Name  string
	Needs []string // names of checks before this one that must pass (ok or warn)
	Run   func(context.Context) Finding
}

// Result is a check's name and what it found.
type Result struct {
	Name string `json:"name"`
	Finding
}

// Run makes the checks in their order and yields each result as soon as it is known. It ends early when ctx does; the check
// that was under way yields nothing then.
func Run(ctx context.Context, checks []Check) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		passed := map[string]bool{}
		for _, c := range checks {
			var found Finding
			if missing := slices.IndexFunc(c.Needs, func(name string) bool { return !passed[name] }); missing >= 0 {
				found = Finding{Status: Skip, Detail: "needs " + c.Needs[missing]}
			} else {
				found = c.Run(ctx)
			}
			passed[c.Name] = found.Status == OK || found.Status == Warn
			if ctx.Err() != nil || !yield(Result{c.Name, found}) {
				return
			}
		}
	}
}

func ok(detail string) Finding        { return Finding{Status: OK, Detail: detail} }
func warn(detail, fix string) Finding { return Finding{Warn, detail, fix} }
func fail(detail, fix string) Finding { return Finding{Fail, detail, fix} }

// severity orders the statuses that a check can find.
var severity = []Status{OK, Warn, Fail}

// merge makes one finding of several: the worst status, and each detail and each fix on a line, once.
func merge(findings ...Finding) Finding {
	all := Finding{Status: OK}
	var details, fixes []string
	add := func(lines *[]string, line string) {
		if line != "" && !slices.Contains(*lines, line) {
			*lines = append(*lines, line)
		}
	}
	for _, f := range findings {
		if slices.Index(severity, f.Status) > slices.Index(severity, all.Status) {
			all.Status = f.Status
		}
		add(&details, f.Detail)
		add(&fixes, f.Fix)
	}
	all.Detail, all.Fix = strings.Join(details, "\n"), strings.Join(fixes, "\n")
	return all
}
