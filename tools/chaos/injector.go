package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// injector makes faults happen.
type injector struct {
	fleet     *fleet
	workers   int
	contracts int
	cluster   *cluster
	sim       *simulator
	collector *collector
	say       func(format string, args ...any)

	mu       sync.Mutex
	injected []injection
}

// errLeftOut is of a fault that was not made, as its time was not.
var errLeftOut = errors.New("left out")

// injection is a fault that was made.
type injection struct {
	fault
	period // until it was undone
}

// follow goes through a schedule to its end, unless ctx ends. A fault that has begun is undone in any case. Where a
// fault takes longer than planned, those behind it in its lane come later.
func (t *injector) follow(ctx context.Context, schedule [lanes][]step) error {
	began := time.Now()
	failed := make(chan error, lanes)
	var following sync.WaitGroup
	for _, steps := range schedule {
		following.Go(func() {
			for _, s := range steps {
				if !wait.Sleep(ctx, max(s.calm, time.Until(began.Add(s.at)))) {
					return
				}
				t.say("%v", s)
				from := time.Now()
				err := t.make(ctx, s)
				if errors.Is(err, errLeftOut) {
					t.say("%v", err)
					continue
				}
				if err != nil {
					failed <- fmt.Errorf("%s: %w", s.name, err)
					return
				}
				t.mu.Lock()
				t.injected = append(t.injected, injection{s.fault, period{from, time.Now()}})
				t.mu.Unlock()
			}
		})
	}
	following.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (t *injector) make(ctx context.Context, s step) error {
	switch s.lane {
	case ofWorkers:
		return t.ofWorkers(ctx, s)
	case ofKafka:
		return t.ofKafka(ctx, s)
	default:
		return t.ofCMS(ctx, s)
	}
}

func (t *injector) ofWorkers(ctx context.Context, s step) error {
	switch s.name {
	case "kill":
		t.fleet.kill(s.worker)
		wait.Sleep(ctx, s.lasts)
		return t.fleet.start(s.worker)
	case "pause":
		w := t.fleet.at(s.worker)
		w.signal(syscall.SIGSTOP)
		wait.Sleep(ctx, s.lasts)
		w.signal(syscall.SIGCONT)
	case "restart":
		return t.restart(ctx, s.worker, s.lasts)
	case "rolling":
		for worker := range t.workers {
			if err := t.restart(ctx, worker, s.lasts); err != nil {
				return err
			}
		}
	case "join":
		if err := t.fleet.start(t.workers); err != nil { // in the slot behind the last one
			return err
		}
		wait.Sleep(ctx, s.lasts)
		t.fleet.stop(t.workers)
	}
	return nil
}

func (t *injector) restart(ctx context.Context, worker int, after time.Duration) error {
	t.fleet.stop(worker)
	wait.Sleep(ctx, after)
	return t.fleet.start(worker)
}

func (t *injector) ofKafka(ctx context.Context, s step) error {
	recovering := context.WithoutCancel(ctx)
	n := t.cluster.nodes[s.broker]
	switch s.name {
	case "broker":
		if _, err := t.cluster.kill(recovering, n); err != nil {
			return err
		}
		wait.Sleep(ctx, s.lasts)
		return t.revive(ctx, n)
	case "disk":
		return t.fillDisk(ctx, s, n)
	case "cut":
		n.proxy.cut()
		wait.Sleep(ctx, s.lasts)
		n.proxy.restore()
	case "slow":
		n.proxy.slow(time.Duration(s.degree) * 5 * time.Millisecond)
		wait.Sleep(ctx, s.lasts)
		n.proxy.restore()
	case recreate:
		return t.recreate(ctx, s)
	case expand:
		return t.expand(ctx, s)
	case reoutput:
		return t.outcomes(ctx, s)
	case truncate:
		return t.truncate(ctx, s, n)
	}
	return nil
}

// fillDisk does what happens to a broker and what its operator does: Kafka gives up its only disk once it cannot write
// to it, and ends; a broker that had nothing to write meanwhile may still run, and cannot be trusted to be whole.
func (t *injector) fillDisk(ctx context.Context, s step, n *node) error {
	recovering := context.WithoutCancel(ctx)
	if err := t.cluster.fill(recovering, n); err != nil {
		return err
	}
	wait.Sleep(ctx, s.lasts)
	ran, err := t.cluster.kill(recovering, n)
	if err != nil {
		return err
	}
	t.say("with its disk full, broker %d had ended by itself: %v", n.id, !ran)
	if err := t.cluster.free(recovering, n); err != nil {
		return err
	}
	return t.revive(ctx, n)
}

func (t *injector) revive(ctx context.Context, n *node) error {
	if err := t.cluster.start(context.WithoutCancel(ctx), n); err != nil {
		return err
	}
	t.collector.serves(ctx)
	t.say("broker %d serves again", n.id)
	return nil
}

func (t *injector) ofCMS(ctx context.Context, s step) error {
	recovering := context.WithoutCancel(ctx)
	var err error
	switch s.name {
	case "outage":
		err = t.outage(ctx, recovering, s)
	case "latency":
		slow := time.Second + time.Duration(s.degree)*10*time.Millisecond
		err = t.sim.ask(recovering, http.MethodPost, "/latency", fmt.Sprintf(`{"latency":"%v","jitter":"500ms"}`, slow))
	case "throttle":
		err = t.sim.ask(recovering, http.MethodPost, "/faults",
			fmt.Sprintf(`{"effect":"status","status":429,"retryAfter":1,"match":{"percent":%d}}`, s.degree))
	case refuse:
		err = t.refuse(recovering, s)
	}
	if err != nil {
		return err
	}
	wait.Sleep(ctx, s.lasts)
	if err := t.sim.ask(recovering, http.MethodDelete, "/faults", ""); err != nil {
		return err
	}
	return t.sim.ask(recovering, http.MethodPost, "/latency", usualLatency)
}

// refuse has a gateway refuse some contracts, in words that the CMS does not use.
func (t *injector) refuse(recovering context.Context, s step) error {
	body, err := json.Marshal(map[string]any{
		"effect": "status", "status": []int{http.StatusForbidden, http.StatusNotFound}[s.degree%2], "body": "<html>no</html>",
		"match": map[string]any{"contracts": refusedContracts(t.contracts)},
	})
	if err != nil {
		return err
	}
	return t.sim.ask(recovering, http.MethodPost, "/faults", string(body))
}

// outage makes every call fail, after a second in which calls were begun that will still be answered, in the midst of
// it: among them 404s, whose dead letters then have to wait for the breaker.
func (t *injector) outage(ctx, recovering context.Context, s step) error {
	if err := t.sim.ask(recovering, http.MethodPost, "/latency", `{"latency":"3s"}`); err != nil {
		return err
	}
	wait.Sleep(ctx, time.Second)
	effect := `"status","status":503`
	if s.degree > 50 {
		effect = `"reset"`
	}
	if err := t.sim.ask(recovering, http.MethodPost, "/faults", `{"effect":`+effect+`}`); err != nil {
		return err
	}
	return t.sim.ask(recovering, http.MethodPost, "/latency", usualLatency)
}
