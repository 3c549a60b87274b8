package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// A real Prometheus with the shipped rules sees an outage of the CMS: one alert fires, of the cause, and it resolves
// when the CMS is back. Nothing else fires, though requests pile up, offsets stand still, and requests
// expire meanwhile.
func TestPrometheusSeesAnOutage(t *testing.T) {
	kafkatest.OnlyOnce(t, "alert rules")
	t.Parallel()
	prometheusTool(t, "prometheus")
	r := newRig(t, 2, cmssim.Config{Latency: 5 * time.Millisecond})
	in := r.StartReady("--cms.timeout=500ms")
	m := startPrometheus(t, in.http)
	r.Send(asks(200, 20, 9000)...)
	r.AwaitCommitted()

	r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable})
	r.Send(asks(500, 60, 9000)...)
	r.Send(expiring(40)...)
	const want = "BalanceqBreakerOpen"
	kafkatest.Eventually(t, waitTimeout, want+" fires", func() bool { return m.firing()[want].State != "" })
	if a := m.firing()[want]; a.Labels["job"] != "balanceq" || a.Labels["severity"] != "ticket" ||
		!strings.HasPrefix(a.Annotations["description"], "The breaker of 1 instance(s)") {
		t.Errorf("it says %v %v", a.Labels, a.Annotations)
	}
	kafkatest.Eventually(t, waitTimeout, want+" goes on firing", func() bool {
		return len(m.query(`count_over_time(ALERTS{alertname="`+want+`", alertstate="firing"}[1m]) >= 8`)) > 0
	})

	r.sim.ClearFaults()
	r.AwaitCommitted()
	kafkatest.Eventually(t, waitTimeout, want+" resolves", func() bool { return m.firing()[want].State == "" })
	if got := m.hasFired(); got != want {
		t.Errorf("%s fired, want %s alone", got, want)
	}
	l := r.Ledger()
	l.WantExactlyOnce()
	for at, letters := range l.dead {
		if letters[0].Reason != schemas.ReasonExpired {
			t.Errorf("%v became a dead letter: %s", at, letters[0].Reason)
		}
	}
}

// expiring makes requests whose deadline passes in the outage.
func expiring(n int) []kafka.Message {
	msgs := make([]kafka.Message, n)
	for i := range msgs {
		msgs[i].Value = fmt.Appendf(nil, `{"contractId":"%d","balanceCodes":["AVAILABLE"],"deadline":%q}`, 9500+i,
			time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano))
	}
	return msgs
}

// Prometheus's own linter has nothing to say about the page of a running instance.
func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	kafkatest.OnlyOnce(t, "names of metrics")
	t.Parallel()
	promtool := prometheusTool(t, "promtool")
	r := newRig(t, 1, cmssim.Config{})
	in := r.StartReady()
	r.Send(append(asks(20, 5, 9600), kafka.Message{Value: []byte("{")})...)
	r.AwaitCommitted()
	status, page := in.get("/metrics")
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(string(page))
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 || status != http.StatusOK {
		t.Errorf("status %d; promtool check metrics: %v\n%s", status, err, said)
	}
}
