package telemetry

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakes are snapshots that a test sets.
type fakes struct {
	consumer consumer.Status
	producer producer.Status
	cms      cmsclient.Status
	budget   processor.BudgetStatus
	keys     []Key
	login    Token // zero: none
	saved    uint64
	handlers *Handlers
	there    map[int32]bool
	kafka    error
	watchdog *Watchdog
	token    func() string
	address  string   // of the probes
	admin    string   // of what acts
	resumers []string // who resumed
}

func (f *fakes) resume(who string) Resumption {
	f.resumers = append(f.resumers, who)
	return Resumption{Instance: "i", Resumed: f.budget.Spent(), Was: f.budget.Why}
}

func (f *fakes) sources() Sources {
	return Sources{
		Consumer: func() consumer.Status { return f.consumer },
		Producer: func() producer.Status { return f.producer },
		CMS:      func() cmsclient.Status { return f.cms },
		Budget:   func() processor.BudgetStatus { return f.budget },
		Keys:     func() []Key { return f.keys }, KafkaToken: func() (Token, bool) { return f.login, f.login != Token{} },
		CallsSaved: func() uint64 { return f.saved },
		Handlers:   f.handlers, AskKafka: func(context.Context, bool, map[int32]int64) (map[int32]bool, error) {
			return f.there, f.kafka
		},
	}
}

// serve runs a server over the snapshots; get fetches a path from it.
func serve(t *testing.T, f *fakes) (m *Metrics, log *bytes.Buffer, get func(path string) (int, string)) {
	t.Helper()
	log = &bytes.Buffer{}
	reg := prometheus.NewRegistry()
	m = NewMetrics(reg, "v1", zerolog.New(log))
	f.handlers = NewHandlers()
	if err := RegisterGauges(reg, f.sources()); err != nil {
		t.Fatal(err)
	}
	w, err := NewWatchdog(StallTimeouts{After: time.Minute}, reg, m, f.sources(), zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	f.watchdog = w
	hosts := Hosts{Names: []string{"balanceq-0.example", ".headless.example"}, Setting: "the allowed hosts"}
	f.admin = listen(t, Admin{Hosts: hosts, Token: f.token, Resume: f.resume}.Handler(), nil)
	f.address = listen(t, Probes{Hosts: hosts, Metrics: reg, Sources: f.sources(), Watchdog: w,
		About: About{Instance: "i", Version: "v1", Started: time.Now().Add(-time.Hour), Group: "g",
			Topic: "requests", Budget: .5},
		Admin: "http://" + f.admin, Setting: "the admin server"}.Handler(), nil)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return m, log, func(path string) (int, string) {
		t.Helper()
		resp, err := client.Get("http://" + f.address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

// listen serves until the test ends.
func listen(t *testing.T, handler http.Handler, security *tls.Config) (address string) {
	t.Helper()
	s, err := Listen("127.0.0.1:0", handler, security, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr()
}

// sample returns the value of a metric on a page.
func sample(t *testing.T, page, name string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Error(err)
			}
			return value
		}
	}
	t.Errorf("missing: %s", name)
	return 0
}
