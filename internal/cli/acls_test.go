package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/rights"
)

func runACLs(t *testing.T, code int, args ...string) (out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	if got := Execute(t.Context(), append([]string{"acls"}, args...), nil, &o, &e); got != code {
		t.Fatalf("exit code %d, want %d: %s", got, code, &e)
	}
	return o.String(), e.String()
}

// The lines have the names of the configuration, and no principal can add words of its own to them.
func TestACLs(t *testing.T) {
	out, _ := runACLs(t, 0, "--principal=User:it's $(me)", "--for=run,deadletters", "--topics.requests=asked",
		"--kafka.group=g", "--kafka.brokers=kafka-1:9093", "--delivery=exactly-once", "--results.reply-topics=x.replies")
	const add = `kafka-acls.sh --bootstrap-server kafka-1:9093 --add --allow-principal 'User:it'\''s $(me)' `
	for _, want := range []string{
		"# balanceq run, doctor, topics check\n" + add + "--operation Read --topic asked\n",
		add + "--operation Read --group g\n",
		add + "--operation Write --transactional-id balanceq.g. --resource-pattern-type prefixed\n",
		add + "--operation Write --topic x.replies\n",
		add + "--operation DescribeConfigs --topic x.replies\n",
		"# balanceq deadletters list, show, export, history\n" + add + "--operation Read --topic balance.deadletters\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if out, _ = runACLs(t, 0, "--principal=User:x"); strings.Contains(out, "transactional-id") {
		t.Errorf("at-least-once needs no transactional id:\n%s", out)
	}
	for _, p := range rights.Purposes {
		if out, _ := runACLs(t, 0, "--principal=User:x", "--for="+string(p)); !strings.Contains(out, "kafka-acls.sh") ||
			!strings.HasPrefix(out, "# balanceq ") {
			t.Errorf("%s: %q", p, out)
		}
	}
}

func TestACLsUsage(t *testing.T) {
	if _, text := runACLs(t, 2); !strings.Contains(text, "--principal: is missing") {
		t.Errorf("said %q", text)
	}
	if _, text := runACLs(t, 2, "--principal=User:x", "--for=rnu"); !strings.Contains(text, `--for: "rnu" is not known; write run, `) {
		t.Errorf("said %q", text)
	}
}
