package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// scaleQuery is what docs/scaling.md says to ask for.
func scaleQuery(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "sum(balanceq_scale_demand") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatal("docs/scaling.md has no query")
	return ""
}

// The CMS goes away: the lag grows, and no instance more is wanted. It comes back: now the backlog wants some.
func TestPrometheusSeesWhatToScaleTo(t *testing.T) {
	kafkatest.OnlyOnce(t, "what scaling goes by")
	t.Parallel()
	prometheusTool(t, "prometheus")
	r := newRig(t, 6, cmssim.Config{Latency: 200 * time.Millisecond})
	in := r.StartReady("--cms.timeout=2s", "--cms.coalesce=false", "--cms.max-in-flight=16", "--cms.min-in-flight=2",
		"--consumer.run-ahead=64")
	m := startPrometheus(t, in.http)
	query := scaleQuery(t)
	holds := func(expr string) bool { return len(m.query(expr)) > 0 }

	r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable})
	r.Send(asks(100, 50, 20_000)...)
	kafkatest.Eventually(t, waitTimeout, "the breaker is open",
		func() bool { return holds(`balanceq_breaker_state{state="open"} == 1`) })
	began := time.Now()
	for _, lag := range []int{2000, 5000, 8000} {
		r.Send(asks(3000, 1000, 20_000)...)
		kafkatest.Eventually(t, waitTimeout, "the lag grows, which is seen for a while", func() bool {
			return holds(fmt.Sprintf("count_over_time((sum(balanceq_lag) > %d)[1m:1s]) > 5", lag))
		})
	}
	outage := fmt.Sprintf("(%s)[%ds:1s]", query, int(time.Since(began).Seconds()))
	if !holds("max_over_time("+outage+") == 1") || !holds("min_over_time("+outage+") == 1") {
		t.Error("in the outage the demand did not stay what it was")
	}

	r.sim.ClearFaults()
	kafkatest.Eventually(t, waitTimeout, "the backlog wants more", func() bool { return holds(query + " > 2") })
	r.sim.SetLatency(0, 0)
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.WantNoDeadLetters()
}
