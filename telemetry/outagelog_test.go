package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
)

// An outage of ten minutes that is probed every three seconds takes a line a minute, and each says what it is about.
func TestLongOutageIsToldOncePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := NewMetrics(prometheus.NewRegistry(), "v1", zerolog.New(&log).Level(zerolog.InfoLevel))
		began := time.Now()
		failing := func() cmsclient.Failing {
			return cmsclient.Failing{Cause: "status 503 (7)", Status: 503, Since: began}
		}
		m.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen, failing())
		for time.Since(began) < 10*time.Minute {
			<-time.After(3 * time.Second)
			m.BreakerChanged(cmsclient.BreakerOpen, cmsclient.BreakerHalfOpen, failing())
			m.BreakerChanged(cmsclient.BreakerHalfOpen, cmsclient.BreakerOpen, failing())
		}
		m.BreakerChanged(cmsclient.BreakerOpen, cmsclient.BreakerHalfOpen, failing())
		m.BreakerChanged(cmsclient.BreakerHalfOpen, cmsclient.BreakerClosed, failing())
		m.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen, failing()) // another one is told from its start

		var events []string
		for line := range strings.Lines(log.String()) {
			var said struct {
				Event, Cause string
				Status       int
				Since        time.Time
				Probes       int
				OpenMS       int64 `json:"open_ms"`
			}
			if err := json.Unmarshal([]byte(line), &said); err != nil {
				t.Fatal(err)
			}
			if said.Cause != "status 503 (7)" || said.Status != 503 || !said.Since.Equal(began.Truncate(time.Second)) {
				t.Errorf("a line does not say cause, status and since: %s", line)
			}
			if said.Event == "breaker_closed" && (said.Probes != 200 || said.OpenMS != 600_000) {
				t.Errorf("the end says %s", line)
			}
			events = append(events, said.Event)
		}
		want := "[breaker_opened breaker_half_open" + strings.Repeat(" breaker_still_open", 10) +
			" breaker_closed breaker_opened]"
		if got := fmt.Sprint(events); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
