package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
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
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
	"github.com/balanceq/balanceq/telemetry"
)

// wedged is the service with one part that a test breaks. hold is what that part hangs on.
type wedged struct {
	t    *testing.T
	hold chan struct{}
	cms  cmsclient.Authenticator // nil: none
	// part breaks one of the consumer's; nil: none.
	part func(*app.Parts)
}

// hang blocks until the end of the test, whatever any context says.
func (w *wedged) hang() { <-w.hold }

// run runs the service until the test ends and returns the address of its HTTP server.
func (w *wedged) run(r *rig) string {
	w.t.Helper()
	change := func(c *config.Config) {
		c.CMS.MaxInFlight, c.CMS.MinInFlight, c.CMS.MaxAttempts = 8, 8, 3
		c.CMS.ProbeInterval = cmsclient.DefaultSettings().ProbeInterval
		c.Consumer.RunAhead, c.Consumer.FetchBytes, c.Consumer.CommitInterval = 64, 64<<10, 10*time.Millisecond
		c.Shutdown.Timeout = 3 * time.Second // what is broken never drains
	}
	return r.serve(r.broker.Brokers(), change, app.Overrides{
		CMS:      func(c *cmsclient.Config) { c.Auth = w.cms },
		Consumer: w.part,
		Watchdog: func(limits *telemetry.StallTimeouts) { limits.Retry = time.Second },
	})
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
	consumer.Delivery
	deliver func(inflight.Slot) inflight.Slot
	commit  func()
}

func (d deliveryThat) Deliver(ctx context.Context, req *inflight.Request, out schemas.Outcome) error {
	other := *req
	other.Slot = d.deliver(req.Slot)
	return d.Delivery.Deliver(ctx, &other, out)
}

func (d deliveryThat) Commit(
	ctx context.Context, epoch group.Lease, o map[int32]kafkawire.OffsetAndMetadata,
) (map[int32]kafkawire.OffsetAndMetadata, error) {
	d.commit()
	return d.Delivery.Commit(ctx, epoch, o)
}

// acknowledging is a slot that hears of acknowledgements in a way of its own.
type acknowledging struct {
	inflight.Slot
	heard func()
}

func (a acknowledging) Acknowledged() { a.heard() }

// Each stage is wedged on purpose, while everything around it works. The watchdog names it, and takes it back where the
// wedge can be pulled out.
func TestWatchdogNamesTheWedgedStage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the watchdog takes for no progress")
	t.Parallel()
	delivery := func(deliver func(inflight.Slot) inflight.Slot, commit func()) func(*app.Parts) {
		return func(p *app.Parts) { p.Delivery = deliveryThat{p.Delivery, deliver, commit} }
	}
	same := func(s inflight.Slot) inflight.Slot { return s }
	tests := map[string]struct {
		stage  telemetry.Stage
		wedge  func(w *wedged) (then func()) // then breaks it once it is running
		lasts  bool                          // nothing makes good for it
		offset bool                          // an offset is held up
	}{
		"no place in the group": {telemetry.StageGroup, func(w *wedged) func() {
			w.part = func(p *app.Parts) { p.Member = noMember{} }
			return nil
		}, true, false},
		"fetching hangs": {telemetry.StageFetch, func(w *wedged) func() {
			g := &gateThatHangs{w: w}
			w.part = func(p *app.Parts) { g.Gate, p.Gate = p.Gate, g }
			return func() {
				g.shut.Store(true)
				kafkatest.Eventually(w.t, waitTimeout, "fetcher.loop and fetcher.run hang",
					func() bool { return g.hanging.Load() == 2 })
			}
		}, false, true},
		"no workers": {telemetry.StageDispatch, func(w *wedged) func() {
			w.part = func(p *app.Parts) { p.Config.MaxInFlight = 0 }
			return nil
		}, true, true},
		"a handler never returns": {telemetry.StageCall, func(w *wedged) func() {
			w.part = func(p *app.Parts) {
				inner := p.Handler
				p.Handler = consumer.HandlerFunc(func(ctx context.Context, lane *consumer.Lane) {
					watched := p.Handlers.Begin(lane.Contract())
					w.hang()
					watched.End()
					inner.Handle(ctx, lane)
				})
			}
			return nil
		}, false, true},
		"a call never ends": {telemetry.StageCall, func(w *wedged) func() {
			w.cms = authThatHangs{w}
			return nil
		}, false, true},
		"an acknowledgement is lost": {telemetry.StageWrite, func(w *wedged) func() {
			w.part = delivery(func(s inflight.Slot) inflight.Slot { return acknowledging{s, func() {}} }, func() {})
			return nil
		}, true, true},
		"an acknowledgement hangs": {telemetry.StageWrite, func(w *wedged) func() {
			w.part = delivery(func(s inflight.Slot) inflight.Slot {
				return acknowledging{s, func() { w.hang(); s.Acknowledged() }}
			}, func() {})
			return nil
		}, false, true},
		"an outcome is not taken": {telemetry.StageWrite, func(w *wedged) func() {
			w.part = delivery(func(s inflight.Slot) inflight.Slot { w.hang(); return s }, func() {})
			return nil
		}, false, true},
		"a commit hangs": {telemetry.StageCommit, func(w *wedged) func() {
			w.part = delivery(same, w.hang)
			return nil
		}, false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{})
			w := &wedged{t: t, hold: make(chan struct{})}
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
				said.Reason == "" || said.Since.IsZero() || !strings.HasSuffix(said.Goroutines, "/debug/pprof/goroutine?debug=2") {
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
