package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/internal/app"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/producer"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// wedged is a pipeline as the service builds it, with one part that a test breaks. hold is what that part hangs on.
type wedged struct {
	t        *testing.T
	hold     chan struct{}
	cfg      consumer.Config
	cms      cmsclient.Config
	member   consumer.Membership                                          // nil: the real one
	gate     func(consumer.Gate) consumer.Gate                            // nil: the CMS client's
	handler  func(*telemetry.Handlers, consumer.Handler) consumer.Handler // nil: the processor's
	delivery func(consumer.AtLeastOnce) consumer.Delivery                 // nil: as it is
}

// hang blocks until the end of the test, whatever any context says.
func (w *wedged) hang() { <-w.hold }

// run runs the pipeline until the test ends and returns the address of its HTTP server.
func (w *wedged) run(r *rig) string {
	t := w.t
	t.Helper()
	settings := kafkawire.Settings{Brokers: r.broker.Brokers(), ClientID: "wedged"}
	wire := func(topics ...string) *kafkawire.Client {
		c := kafkawire.NewClient(settings, topics...)
		t.Cleanup(c.Close)
		return c
	}
	reg, log := prometheus.NewRegistry(), zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)
	metrics := telemetry.NewMetrics(reg, zerolog.Nop())
	cms, err := cmsclient.New(w.cms, metrics)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := producer.Outcomes{Results: r.results, DeadLetters: r.deadletters, Origin: schemas.Origin{Group: r.group, Instance: "w", Version: "test"}}
	outcomes.Producer, err = producer.New(t.Context(), producer.Config{Topics: outcomes.Topics(), BufferBytes: 1 << 20},
		wire(outcomes.Topics()...), zerolog.Nop(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	handlers := telemetry.NewHandlers()
	answers := processor.New(processor.Config{
		MaxAttempts: 3, BackoffInitial: 10 * time.Millisecond, BackoffMax: 100 * time.Millisecond, Progress: handlers.Begin,
	}, cms, zerolog.Nop())
	offsets := wire(r.requests)
	parts := consumer.Parts{
		Offsets: offsets, Fetch: wire(r.requests), Delivery: consumer.AtLeastOnce{Writer: outcomes}, Gate: cms, Log: zerolog.Nop(), Observer: metrics,
		Member: group.NewClassic(group.ClassicConfig{SessionTimeout: 6 * time.Second, Config: group.Config{
			Group: r.group, Topic: r.requests, RebalanceTimeout: 30 * time.Second}}, offsets, zerolog.Nop()),
		Handler: consumer.HandlerFunc(func(ctx context.Context, lane *consumer.Lane) { answers.Handle(ctx, lane) }),
	}
	if w.member != nil {
		parts.Member = w.member
	}
	if w.gate != nil {
		parts.Gate = w.gate(cms)
	}
	if w.handler != nil {
		parts.Handler = w.handler(handlers, parts.Handler)
	}
	if w.delivery != nil {
		parts.Delivery = w.delivery(consumer.AtLeastOnce{Writer: outcomes})
	}
	c := consumer.New(w.cfg, parts)
	sources := telemetry.Sources{
		Consumer: c.Status, Producer: outcomes.Producer.Status, CMS: cms.Status, Budget: answers.Budget, Keys: func() []telemetry.Key { return nil },
		CallsSaved: answers.CallsSaved, Handlers: handlers,
		AskKafka: app.KafkaProbe{Wire: wire(r.requests), Group: r.group, Topic: r.requests}.Ask,
	}
	dog, err := telemetry.NewWatchdog(telemetry.StallTimeouts{After: watchdogAfter, Retry: time.Second}, reg, metrics, sources, log)
	if err != nil {
		t.Fatal(err)
	}
	server, err := telemetry.Listen("127.0.0.1:0", nil, reg, sources, dog, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { dog.Run(ctx) })
	wg.Go(func() {
		if err := server.Serve(); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() { _ = c.Run(ctx) }) // it was broken on purpose
	t.Cleanup(func() {
		stop()
		within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(within)
		wg.Wait()
		_ = outcomes.Producer.Close(within) // outcomes may be left
		cms.Close()
	})
	return server.Addr()
}

const watchdogAfter = 2 * time.Second

// livez is what /livez says.
type livez struct {
	telemetry.Stuck
	Goroutines string
}

func getLivez(t *testing.T, addr string) (status int, body livez) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := scraper.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.StatusCode, body
	}
	if err := json.Unmarshal(data, &body); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return resp.StatusCode, body
}

// The parts that hang.

type noMember struct{}

func (noMember) Join(ctx context.Context, _ group.Owner) error {
	<-ctx.Done()
	return nil
}

type gateThatHangs struct {
	consumer.Gate
	w       *wedged
	shut    atomic.Bool
	hanging atomic.Int32
}

func (g *gateThatHangs) Waiting() (string, <-chan struct{}) {
	if g.shut.Load() {
		g.hanging.Add(1)
		g.w.hang()
	}
	return g.Gate.Waiting()
}

type authThatHangs struct{ w *wedged }

func (a authThatHangs) Authenticate(*http.Request) error {
	a.w.hang()
	return nil
}

// deliveryThat hangs or forgets somewhere.
type deliveryThat struct {
	consumer.AtLeastOnce
	deliver func(inflight.Slot) inflight.Slot
	commit  func()
}

func (d deliveryThat) Deliver(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	other := *req
	other.Slot = d.deliver(req.Slot)
	return d.AtLeastOnce.Deliver(ctx, &other, out)
}

func (d deliveryThat) Commit(
	ctx context.Context, epoch group.Lease, o map[int32]kafkawire.OffsetAndMetadata,
) (map[int32]kafkawire.OffsetAndMetadata, error) {
	d.commit()
	return d.AtLeastOnce.Commit(ctx, epoch, o)
}

// acknowledging is a slot that hears of acknowledgements in a way of its own.
type acknowledging struct {
	inflight.Slot
	heard func()
}

func (a acknowledging) Acknowledged() { a.heard() }

// Each stage is wedged on purpose, while everything around it works. The watchdog names it, and takes it back where the wedge
// can be pulled out.
func TestWatchdogNamesTheWedgedStage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the watchdog takes for no progress")
	t.Parallel()
	delivery := func(deliver func(inflight.Slot) inflight.Slot, commit func()) func(consumer.AtLeastOnce) consumer.Delivery {
		return func(d consumer.AtLeastOnce) consumer.Delivery { return deliveryThat{d, deliver, commit} }
	}
	same := func(s inflight.Slot) inflight.Slot { return s }
	tests := map[string]struct {
		stage  telemetry.Stage
		wedge  func(w *wedged) (then func()) // then breaks it once it is running
		lasts  bool                          // nothing makes good for it
		offset bool                          // an offset is held up
	}{
		"no place in the group": {telemetry.StageGroup, func(w *wedged) func() { w.member = noMember{}; return nil }, true, false},
		"fetching hangs": {telemetry.StageFetch, func(w *wedged) func() {
			g := &gateThatHangs{w: w}
			w.gate = func(inner consumer.Gate) consumer.Gate { g.Gate = inner; return g }
			return func() {
				g.shut.Store(true)
				kafkatest.Eventually(w.t, waitTimeout, "fetcher.loop and fetcher.run hang", func() bool { return g.hanging.Load() == 2 })
			}
		}, false, true},
		"no workers": {telemetry.StageDispatch, func(w *wedged) func() { w.cfg.MaxInFlight = 0; return nil }, true, true},
		"a handler never returns": {telemetry.StageCall, func(w *wedged) func() {
			w.handler = func(handlers *telemetry.Handlers, inner consumer.Handler) consumer.Handler {
				return consumer.HandlerFunc(func(ctx context.Context, lane *consumer.Lane) {
					watched := handlers.Begin(lane.Contract())
					w.hang()
					watched.End()
					inner.Handle(ctx, lane)
				})
			}
			return nil
		}, false, true},
		"a call never ends": {telemetry.StageCall, func(w *wedged) func() { w.cms.Auth = authThatHangs{w}; return nil }, false, true},
		"an acknowledgement is lost": {telemetry.StageWrite, func(w *wedged) func() {
			w.delivery = delivery(func(s inflight.Slot) inflight.Slot { return acknowledging{s, func() {}} }, func() {})
			return nil
		}, true, true},
		"an acknowledgement hangs": {telemetry.StageWrite, func(w *wedged) func() {
			w.delivery = delivery(func(s inflight.Slot) inflight.Slot {
				return acknowledging{s, func() { w.hang(); s.Acknowledged() }}
			}, func() {})
			return nil
		}, false, true},
		"an outcome is not taken": {telemetry.StageWrite, func(w *wedged) func() {
			w.delivery = delivery(func(s inflight.Slot) inflight.Slot { w.hang(); return s }, func() {})
			return nil
		}, false, true},
		"a commit hangs": {telemetry.StageCommit, func(w *wedged) func() { w.delivery = delivery(same, w.hang); return nil }, false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{})
			w := &wedged{t: t, hold: make(chan struct{}), cms: cmsclient.DefaultConfig(), cfg: consumer.Config{
				Topic: r.requests, Group: r.group, Start: consumer.Earliest, MaxInFlight: 8, RunAhead: 64, FetchBytes: 64 << 10,
				CommitInterval: 10 * time.Millisecond, DrainTimeout: time.Second,
			}}
			w.cms.URL, w.cms.Timeout = r.cmsURL, 500*time.Millisecond
			pull := sync.OnceFunc(func() { close(w.hold) })
			then := test.wedge(w)
			addr := w.run(r)
			t.Cleanup(pull) // before the pipeline is ended
			if then != nil {
				kafkatest.Eventually(t, waitTimeout, "it runs", func() bool { return w.joined(addr) })
				then()
			}
			r.Send(asks(20, 5, 20_000)...)
			var said livez
			kafkatest.Eventually(t, waitTimeout, "/livez names "+string(test.stage), func() bool {
				status, body := getLivez(t, addr)
				said = body
				return status == http.StatusServiceUnavailable && body.Stage == test.stage
			})
			if test.offset && (said.Partition == nil || *said.Partition != 0 || said.Offset == nil || *said.Offset < 0) ||
				said.Reason == "" || said.Since.IsZero() || said.Goroutines != "/debug/pprof/goroutine?debug=2" {
				t.Errorf("/livez says %+v", said)
			}
			if pull(); !test.lasts {
				r.AwaitCommitted()
				kafkatest.Eventually(t, waitTimeout, "/livez is 200 again", func() bool {
					status, _ := getLivez(t, addr)
					return status == http.StatusOK
				})
			}
		})
	}
}

// joined says whether /readyz is 200.
func (w *wedged) joined(addr string) bool {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Close = true
	resp, err := scraper.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
