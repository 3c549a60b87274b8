package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/app"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/telemetry"
)

// serve runs the service in this process, with time limits that the configuration would refuse, and returns the address
// of its HTTP server.
func (r *rig) serve(brokers []string, change func(*config.Config), with app.Overrides) string {
	r.t.Helper()
	cfg := config.Default()
	cfg.Kafka.Brokers, cfg.Kafka.Group, cfg.Kafka.SessionTimeout = brokers, r.group, 6*time.Second
	cfg.Topics = config.Topics{Requests: r.requests, Results: r.results, DeadLetters: r.deadletters}
	cfg.CMS.URL, cfg.CMS.Timeout, cfg.CMS.ProbeInterval = r.cmsURL, 500*time.Millisecond, 200*time.Millisecond
	cfg.CMS.Backoff = config.Backoff{Initial: 10 * time.Millisecond, Max: 100 * time.Millisecond}
	cfg.Instance, cfg.Shutdown.Timeout = "watched", 10*time.Second
	cfg.HTTP.Listen, cfg.HTTP.Admin = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Watchdog.After = watchdogAfter
	if change != nil {
		change(&cfg)
	}
	s, err := app.New(r.t.Context(), cfg, "test", zerolog.New(zerolog.NewTestWriter(r.t)).Level(zerolog.WarnLevel), with)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx) // it may have no broker to leave the group of
	}()
	r.t.Cleanup(func() {
		stop()
		<-ended
	})
	return s.HTTPAddr()
}

func (r *rig) readyz(addr string) (h telemetry.Health) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Close = true
	resp, err := scraper.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	if err != nil {
		r.t.Fatalf("/readyz: %v in %q", err, data)
	}
	return h
}

// staysLive looks at /livez for some time.
func (r *rig) staysLive(addr string, during time.Duration) {
	r.t.Helper()
	over := time.After(during)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, body := getLivez(r.t, addr); status != http.StatusOK {
			r.t.Fatalf("/livez is %d: %+v", status, body)
		}
		select {
		case <-over:
			return
		case <-tick.C:
		}
	}
}

// Whatever waits stays live, for many times the time after which the watchdog acts, and /readyz says what it waits for.
func TestWatchdogLetsWaitingBe(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the watchdog takes for no progress")
	t.Parallel()
	always := func(status, retryAfter int) *cmssim.Fault {
		return &cmssim.Fault{Effect: cmssim.EffectStatus, Status: status, RetryAfter: retryAfter}
	}
	slow := always(http.StatusServiceUnavailable, 60)
	slow.Match = cmssim.Match{Contracts: []int64{30_000}}
	tests := map[string]struct {
		cause  string
		change func(*config.Config)
		fault  *cmssim.Fault
		send   []kafka.Message
		moves  bool // once the fault is gone, everything is answered soon
	}{
		"breaker": {"breaker", func(c *config.Config) { c.CMS.Breaker.OpenTime = 300 * time.Millisecond },
			always(http.StatusServiceUnavailable, 0), asks(200, 20, 30_000), true},
		"throttled": {"throttled", nil, always(http.StatusTooManyRequests, 60), asks(200, 20, 30_000), false},
		"halted":    {"halted", nil, always(http.StatusUnauthorized, 0), asks(200, 20, 30_000), true},
		"hanging": {"breaker", func(c *config.Config) { c.CMS.Breaker.OpenTime = 300 * time.Millisecond },
			&cmssim.Fault{Effect: cmssim.EffectHang}, asks(200, 20, 30_000), true},
		"quota":     {"quota", func(c *config.Config) { c.CMS.DailyQuota = 5 }, nil, asks(50, 50, 30_000), false},
		"rate":      {"limit", func(c *config.Config) { c.CMS.Rate = .2 }, nil, asks(50, 50, 30_000), false},
		"budget":    {"dead-letter-budget", nil, nil, floodOf(33_000), false},
		"idle":      {"", nil, nil, nil, true},
		"all of it": {"", nil, nil, asks(2000, 50, 30_000), true},
		// One request has to wait, all others are answered; the window behind it fills.
		"retry after": {"backoff", nil, slow, append([]kafka.Message{ask(30_000, "AVAILABLE")}, asks(200, 20, 31_000)...),
			false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{})
			if test.fault != nil {
				r.sim.AddFault(*test.fault)
			}
			addr := r.serve(r.broker.Brokers(), test.change, app.Overrides{})
			kafkatest.Eventually(t, waitTimeout, "the instance is ready", func() bool { return r.readyz(addr).Partitions == 2 })
			r.Send(test.send...)
			kafkatest.Eventually(t, waitTimeout, "it waits for "+test.cause,
				func() bool { return r.readyz(addr).Waiting == test.cause })
			r.staysLive(addr, 4*watchdogAfter)
			if h := r.readyz(addr); h.Waiting != test.cause || !h.Ready {
				t.Errorf("it waits for %q, not for %q", h.Waiting, test.cause)
			}
			if test.moves {
				r.sim.ClearFaults()
				r.AwaitCommitted()
				r.staysLive(addr, watchdogAfter)
			}
		})
	}
}

// A restart repairs no broker: without one the instance stays live, says so, and goes on when there is one again.
func TestWatchdogLetsKafkaBeDown(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the watchdog takes for no progress")
	t.Parallel()
	r := newRigOn(t, kafkatest.New(t), 2, cmssim.Config{Latency: 20 * time.Millisecond})
	// A write that is refused is repeated after 2 s, and so says something every few seconds only.
	const after = 6 * time.Second
	addr := r.serve(r.broker.Brokers(), func(c *config.Config) {
		c.Watchdog.After, c.CMS.MaxInFlight, c.CMS.MinInFlight = after, 4, 4
	}, app.Overrides{})
	r.Send(asks(1000, 100, 32_000)...)
	r.AwaitWritten(r.results, 100)
	r.broker.Stop(t, false)
	kafkatest.Eventually(t, waitTimeout, "/readyz tells of Kafka", func() bool {
		h := r.readyz(addr)
		return h.Waiting == "kafka" && h.KafkaFailing != ""
	})
	r.staysLive(addr, 3*after)
	r.broker.Start(t)
	r.AwaitCommitted()
	r.staysLive(addr, after)
	r.Ledger().WantNothingLost()
}

// Fetches that never come back are given up after 10 s each: that is a Kafka that fails, not a service that hangs.
func TestWatchdogLetsSwallowedFetchesBe(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the watchdog takes for no progress")
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{}) // of which only the CMS and the names are used
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(2, r.requests, r.results, r.deadletters))
	over := make(chan struct{})
	addr := r.serve(cluster.ListenAddrs(), nil, app.Overrides{})
	kafkatest.Eventually(t, waitTimeout, "the instance is ready", func() bool { return r.readyz(addr).Partitions == 2 })
	cluster.ControlKey(kmsg.Fetch.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cluster.SleepControl(func() { <-over })
		return nil, nil, false
	})
	t.Cleanup(func() { close(over) })
	kafkatest.Eventually(t, waitTimeout, "/readyz tells of Kafka", func() bool {
		h := r.readyz(addr)
		return h.Waiting == "kafka" && h.KafkaFailing != ""
	})
	r.staysLive(addr, 6*watchdogAfter)
}
