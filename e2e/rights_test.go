package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/rights"
)

// rightsCase is something to do that needs rights.
type rightsCase struct {
	purpose  rights.Purpose
	delivery string
	command  string
	flags    []string
	with     map[string][]string // more flags without a right whose flags contain that
	unsaid   []string            // rights whose flags contain that: the command works without, and says nothing
	fails    string              // what it says in spite of all rights: it finds nothing to do
}

var rightsCases = map[string]rightsCase{
	"run": {purpose: rights.Run, command: "doctor", flags: []string{"--no-call"}},
	"run, exactly once": {purpose: rights.Run, delivery: "exactly-once", command: "doctor",
		flags: []string{"--no-call", "--delivery=exactly-once"}},
	"request": {purpose: rights.Request, command: "request", flags: []string{"--contract=70001", "--codes=AVAILABLE"},
		with: map[string][]string{"Read": {"--wait"}}, unsaid: []string{"DescribeConfigs"}},
	"results": {purpose: rights.Results, command: "results",
		flags: []string{"--from-beginning", "--exit", "--deadletters"}},
	"deadletters": {purpose: rights.DeadLetters, command: "deadletters history"},
	"replay": {purpose: rights.Replay, command: "deadletters replay",
		flags:  []string{"--all", "--execute", "--canary=off"},
		with:   map[string][]string{"Read --topic": {"--canary=on"}},
		unsaid: []string{"DescribeConfigs"}},
	"skip": {purpose: rights.Skip, command: "skip", flags: []string{"--partition=0", "--offset=0"},
		fails: "there is nothing at offset 0"},
	"status": {purpose: rights.Status, command: "status", unsaid: []string{"Read"},
		fails: "none of the instances that answer is it"},
	"topics": {purpose: rights.Topics, command: "topics create", unsaid: []string{"Describe"}},
}

// What `balanceq acls` prints is what a purpose needs, on a real broker: with all of it the command works; without any
// one right, that is named with the line that grants it, unless the command does without and the list says so.
func TestRightsOneByOne(t *testing.T) {
	kafkatest.OnlyOnce(t, "what needs which right")
	t.Parallel()
	for name, c := range rightsCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newGuardedRig(t, 1, time.Hour)
			connection := r.reach("SCRAM-SHA-512", kafkatest.Login)
			switch c.purpose {
			case rights.Topics:
				r.results = "new-of-" + r.results
			case rights.Status: // with a member that it finds
				r.occupy()
			default:
				(&replayRig{r.rig}).dead(1, 1)
			}
			cfg := r.config(c.delivery)
			cfg.Kafka.Brokers = []string{r.guard.Address(kafkatest.Login)}
			r.allow(c.delivery, c.purpose)
			r.takeUnsaid(c, cfg)
			r.wantEnough(c, r.as(connection, c.command, c.flags...))
			if c.purpose == rights.Replay {
				(&replayRig{r.rig}).dead(1, 1) // the first one has been replayed
			}
			for _, right := range rights.For(cfg, c.purpose) {
				if contained(right, c.unsaid) != "" {
					continue
				}
				r.guard.Disallow(t, r.user, acl(right))
				flags := slices.Concat(c.flags, c.with[contained(right, slices.Collect(maps.Keys(c.with)))])
				r.names(right, r.as(connection, c.command, flags...), right.Command(cfg.Kafka, "User:"+r.user))
				r.guard.Allow(t, r.user, acl(right))
			}
		})
	}
}

// takeUnsaid takes away what the command does without.
func (r *guardedRig) takeUnsaid(c rightsCase, cfg config.Config) {
	r.t.Helper()
	for _, right := range rights.For(cfg, c.purpose) {
		if contained(right, c.unsaid) != "" {
			r.guard.Disallow(r.t, r.user, acl(right))
		}
	}
}

// wantEnough wants a command to have all rights that it needs.
func (r *guardedRig) wantEnough(c rightsCase, args []string) {
	r.t.Helper()
	in := launch(r.t, args...)
	code, said := in.wait(waitTimeout).ExitCode(), in.output.String()
	if c.fails != "" && strings.Contains(said, c.fails) {
		return
	}
	if code != 0 || strings.Contains(said, "kafka-acls.sh") {
		r.t.Errorf("with all rights: exit code %d, and it says\n%s", code, said)
	}
}

// names wants a command to say by which line it gets the right that it has not; it has to end if it cannot do without.
func (r *guardedRig) names(right rights.Right, args []string, line string) {
	r.t.Helper()
	in := launch(r.t, args...)
	code, said := in.wait(waitTimeout).ExitCode(), in.output.String()
	if !strings.Contains(said, line) {
		r.t.Errorf("without %s: no %q in\n%s", right.Flags(), line, said)
	}
	if right.Without == "" && code != 1 {
		r.t.Errorf("without %s: exit code %d", right.Flags(), code)
	}
}

// contained is the one of some texts that a right's flags contain; "": none.
func contained(right rights.Right, texts []string) string {
	for _, text := range texts {
		if strings.Contains(right.Flags(), text) {
			return text
		}
	}
	return ""
}
