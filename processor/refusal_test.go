package processor

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/stepped"
)

// refusing answers after 20 ms, and refuses at once as long as refuses says so.
func refusing(refuses func(c call) bool) cms {
	return func(ctx context.Context, c call) (*http.Response, error) {
		if refuses(c) {
			return reply(404, "<html>no route</html>")
		}
		if err := takes(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
		return balances(c)
	}
}

// run submits n requests, for one contract after another, a few milliseconds apart.
func (w *world) run(n int, contracts, from int64) {
	lanes := map[int64]*testLane{}
	for i := range int64(n) {
		contract := i%contracts + 1
		if lanes[contract] == nil {
			lanes[contract] = w.lane(contract)
		}
		lanes[contract].submit(request(contract, from+i))
		pass(5 * time.Millisecond)
	}
}

// One contract in a hundred is refused: its requests become dead letters, the first after its attempts, the others at
// once, and no other one waits. When the key expires then, all calls stop within a second, and there is no dead letter.
func TestOneContractInAHundredIsRefused(t *testing.T) {
	var expired atomic.Bool
	answer := refusing(func(c call) bool { return c.contract == 13 || expired.Load() })
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		w.run(3000, 100, 0)
		completed := w.await(3000, time.Minute)
		for _, s := range completed {
			if want := s.req.Request.ContractID == 13; want != (s.out.DeadLetter != nil) {
				t.Fatalf("contract %d: %s", s.req.Request.ContractID, describe(s.out))
			}
		}
		calls := 0
		for _, c := range w.sent() {
			if c.contract == 13 {
				calls++
			}
		}
		if calls > 30+10 {
			t.Errorf("%d calls for the 30 requests that are refused", calls)
		}
		if n := w.halts.Load(); n != 0 {
			t.Errorf("halted %d times", n)
		}

		expired.Store(true)
		began := time.Now()
		w.run(100, 100, 10_000)
		for w.client.Status().HaltedError == "" {
			pass(10 * time.Millisecond)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("halted after %v", took)
		}
		pass(time.Hour)
		wantNoDeadLetters(t, w.outcomes()[3000:])
		expired.Store(false)
		for _, s := range w.await(3100, 10*time.Minute)[3000:] {
			if want := s.req.Request.ContractID == 13; want != (s.out.DeadLetter != nil) {
				t.Errorf("contract %d, afterwards: %s", s.req.Request.ContractID, describe(s.out))
			}
			if d := s.out.DeadLetter; d != nil && !strings.HasPrefix(d.Detail, "HTTP ") {
				t.Errorf("the detail is %q, and nothing halts", d.Detail)
			}
		}
	})
}

// Every second call is refused, whatever it asks: nothing halts, everything is answered, nothing is a dead letter.
func TestHalfOfTheServersRefuse(t *testing.T) {
	for name, every := range map[string]time.Duration{"busy": 0, "two requests a second": 500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var mu sync.Mutex
			answer := refusing(func(call) bool {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(2) == 0
			})
			inWorld(t, answer, nil, func(t *testing.T, w *world) {
				for i := range int64(20) {
					w.run(100, 100, i*100)
					pass(100 * every)
				}
				wantNoDeadLetters(t, w.await(2000, time.Hour))
			})
		})
	}
}

// With no other traffic at all, a contract that is refused halts nothing, as long as another one was answered before
// and still is. When that is refused, too, everything halts at the second refusal.
func TestRefusedWithNoOtherTraffic(t *testing.T) {
	var expired atomic.Bool
	answer := refusing(func(c call) bool { return c.contract == 13 || expired.Load() })
	inWorld(t, answer, nil, func(t *testing.T, w *world) {
		w.lane(7).submit(request(7, 1))
		w.await(1, time.Second)
		w.lane(13).submit(request(13, 2), request(13, 3))
		completed := w.await(3, 10*time.Minute)
		wantSummary(t, completed, "1 complete, 2 request-rejected, 3 request-rejected")
		pass(time.Hour)
		if n := w.halts.Load(); n != 0 {
			t.Errorf("halted %d times", n)
		}
		expired.Store(true)
		began := time.Now()
		w.lane(7).submit(request(7, 4))
		for w.client.Status().HaltedError == "" {
			pass(10 * time.Millisecond)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("halted after %v", took)
		}
		pass(time.Hour)
		expired.Store(false)
		wantSummary(t, w.await(4, time.Minute)[3:], "4 complete")
		if !strings.Contains(completed[1].out.DeadLetter.Detail, "404") {
			t.Errorf("%+v", completed[1].out.DeadLetter)
		}
	})
}

// A contract that was given up and is answered again needs as many refusals as any other from then on.
func TestGivenUpContractComesBack(t *testing.T) {
	now := time.Now()
	var r refusals
	r.giveUp(13, now)
	if !r.gaveUp(13, now) || r.gaveUp(14, now) || r.gaveUp(13, now.Add(rememberGiven)) {
		t.Error("it does not remember what was given up, or for the wrong time")
	}
	r.answer(13, false)
	if r.gaveUp(13, now) || r.some.Load() {
		t.Error("it was answered since")
	}
	for i := range int64(2*maxGiven + 1) {
		r.giveUp(i, now)
	}
	if len(r.given) > maxGiven || !r.gaveUp(2*maxGiven, now) {
		t.Errorf("%d are remembered", len(r.given))
	}
}

func TestRefusalShare(t *testing.T) {
	now := time.Now()
	var r refusals
	calls := func(n, oneIn int) (known firstCalls) {
		for i := range n {
			if i%oneIn == 0 {
				known = r.refuse(true, now)
			} else {
				r.answer(1, true)
			}
		}
		return known
	}
	share := func(f firstCalls) float64 { return f.chance(1) }
	if known := r.refuse(true, now); known.chance(5) <= maxChance || known.chance(50) > maxChance {
		t.Errorf("nothing is known but %v", known)
	}
	if known := calls(2000, 100); share(known) < .005 || share(known) > .02 || known.chance(5) > maxChance {
		t.Errorf("one in a hundred: %v", known)
	}
	now = now.Add(refusalPeriod)
	calls(2000, 2)
	now = now.Add(refusalPeriod)
	if known := calls(2000, 2); share(known) < .45 || share(known) > .55 || known.chance(5) <= maxChance {
		t.Errorf("every second one: %v", known)
	}
	now = now.Add(time.Hour)
	if known := r.refuse(false, now); share(known) < .45 || share(known) > .55 {
		t.Errorf("after an hour without traffic: %v", known)
	}
	for range 100_000 {
		r.answer(1, true)
	}
	now = now.Add(time.Hour)
	if known := calls(100, 2); share(known) < .15 {
		t.Errorf("of the latest 100 calls half are refused: %v", known)
	}
	// All windows are full behind what is refused, so nothing else is asked for.
	var full refusals
	full.answered.Store(1000)
	for range 10 {
		full.refuse(true, now)
	}
	if known := full.refuse(false, now); known.chance(7) > maxChance {
		t.Errorf("1000 answers and 10 refusals: %v", known)
	}
	// One contract that is refused again and again, and one answer to another in each period: that is enough in time.
	var alone refusals
	times := 0
	for known := (firstCalls{}); known.chance(times) > maxChance; times++ {
		now = now.Add(refusalPeriod)
		alone.answer(1, true)
		known = alone.refuse(times == 0, now)
	}
	if times > 20 {
		t.Errorf("one contract is refused, and it takes %d attempts to tell", times)
	}
}

// Whatever share of calls is refused, and however few are known: those refused by chance alone are blamed as rarely as
// is said.
func TestChanceIsWhatItSays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const worlds, certain = 200_000, 1e-3
	for _, known := range []int{0, 1, 3, 10, 100} {
		wrong := 0
		for range worlds {
			share := maxShare * random.Float64()
			var f firstCalls
			for range known {
				if random.Float64() < share {
					f.refused++
				} else {
					f.answered++
				}
			}
			times := 0
			for f.chance(times) > certain && random.Float64() < share {
				times++
			}
			if f.chance(times) <= certain {
				wrong++
			}
		}
		if most := 1.2 * certain * worlds; float64(wrong) > most {
			t.Errorf("%d calls are known: %d of %d are blamed, want at most %v", known, wrong, worlds, most)
		}
	}
}

// An outage on a machine whose clock was stepped: an answer from before the step proves nothing about calls made since,
// however much later on the wall it was sent.
func TestOutageDetectorKnowsNoSteps(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		now := time.Now()
		e := outageDetector{start: now}
		e.answered(now.Add(time.Second))
		req := request(1, 1)
		for i := range 5 {
			e.count(req, cmsclient.Transient, stepped.Time(now.Add(time.Duration(2+i)*time.Second), by))
		}
		if req.Counted != 1 {
			t.Errorf("stepped by %v: %d of 5 failures count, though no call was answered between them", by, req.Counted)
		}
		if act, _ := decide(failure{class: cmsclient.Transient, counted: req.Counted, maxAttempts: 5,
			breakerClosed: true}); act != retry {
			t.Errorf("stepped by %v: %v", by, act)
		}
		e.answered(stepped.Time(now.Add(7*time.Second), by))
		if e.count(req, cmsclient.Transient, stepped.Time(now.Add(8*time.Second), by)); req.Counted != 2 {
			t.Errorf("stepped by %v: an answer since the last failure, and it does not count", by)
		}
	}
}

func TestOutageDetectorAwaits(t *testing.T) {
	e := outageDetector{start: time.Now()}
	e.await(t.Context(), time.Now(), time.Millisecond)
	began := time.Now()
	done := make(chan struct{})
	go func() {
		e.await(t.Context(), began, time.Hour)
		close(done)
	}()
	for e.news.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	e.answered(time.Now())
	<-done
}
