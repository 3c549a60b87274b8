package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// busy is a CMS that takes its time, so that something is always under way.
var busy = cmssim.Config{Latency: 10 * time.Millisecond, Jitter: 10 * time.Millisecond}

// A kill -9 in the middle of traffic, with a transaction open: who comes back under the same name ends it at once. With
// a slot in the group of its own it has its partitions back as soon; otherwise the group waits for the session first.
func TestExactlyOnceKill(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags  []string
		within time.Duration
	}{
		"name": {exactly("--instance=a"), waitTimeout},
		"slot": {exactly("--kafka.instance-id=a", "--kafka.session-timeout=50s"), 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 3, busy)
			w := r.Watch()
			traffic := r.Load()
			for range 3 {
				in := r.Start(test.flags...)
				took := w.AwaitMore(300)
				t.Logf("300 answers %v after the start", took)
				in.WantCalm()
				in.Kill()
			}
			began := time.Now()
			in := r.Start(test.flags...)
			w.AwaitMore(1)
			took := time.Since(began)
			t.Logf("the first answer %v after the start", took)
			if took > test.within {
				t.Errorf("it took %v until it went on, more than %v", took, test.within)
			}
			w.WantExactlyOnce(r, traffic)
			in.WantCalm()
			in.Stop()
		})
	}
}

// One of two instances is killed: the other is assigned what it had, once its session and its transaction are over.
func TestExactlyOnceKillOneOfTwo(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, busy)
	w := r.Watch()
	traffic := r.Load()
	a, b := r.Start(exactly()...), r.Start(exactly()...)
	b.eventually("both have partitions", func() bool {
		ha, _ := a.Health()
		hb, _ := b.Health()
		return ha.Partitions == 2 && hb.Partitions == 2
	})
	w.AwaitMore(300)
	killed := time.Now()
	a.Kill()
	b.eventually("the other has all partitions", func() bool { h, _ := b.Health(); return h.Ready && h.Partitions == 4 })
	t.Logf("all partitions granted %v after the kill", time.Since(killed))
	w.WantExactlyOnce(r, traffic)
	t.Logf("all answered %v after the kill, longest standstill %v", time.Since(killed), w.standstill(killed, 0, 1, 2, 3))
	b.WantCalm()
	b.Stop()
}

// Instances are replaced one after the other, as an orchestrator does.
func TestExactlyOnceRollingRestart(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]func(i string) []string{
		"names": func(i string) []string { return exactly("--instance=" + i) },
		"slots": func(i string) []string { return exactly("--kafka.instance-id=" + i) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 6, busy)
			w := r.Watch()
			names := []string{"a", "b", "c"}
			all := map[string]*instance{}
			for _, i := range names {
				all[i] = r.StartReady(flags(i)...)
			}
			traffic := r.Load()
			w.AwaitMore(1)
			began := time.Now()
			for _, i := range names {
				w.AwaitMore(200)
				all[i].Stop()
				all[i].WantCalm()
				all[i] = r.StartReady(flags(i)...)
			}
			w.WantExactlyOnce(r, traffic)
			t.Logf("longest standstill %v", w.standstill(began, 0, 1, 2, 3, 4, 5))
			for _, in := range all {
				in.Stop()
				in.WantCalm()
			}
		})
	}
}

// An instance hangs for longer than its session, in the middle of a transaction, and goes on as if nothing had been:
// what it had is somebody else's then, and nothing of it comes out twice.
func TestExactlyOnceZombie(t *testing.T) {
	kafkatest.OnlyOnce(t, "TestExactlyOnceKill is like it for the broker")
	t.Parallel()
	r := newRig(t, 4, busy)
	w := r.Watch()
	traffic := r.Load()
	a, b := r.StartReady(exactly()...), r.StartReady(exactly()...)
	w.AwaitMore(300)
	for range 2 {
		a.signal(syscall.SIGSTOP)
		b.eventually("the other has all partitions", func() bool { h, _ := b.Health(); return h.Ready && h.Partitions == 4 })
		w.AwaitMore(50)
		a.signal(syscall.SIGCONT)
		a.eventually("it has its place again", func() bool {
			ha, _ := a.Health()
			hb, _ := b.Health()
			return ha.Ready && ha.Partitions == 2 && hb.Partitions == 2
		})
		w.AwaitMore(100)
	}
	w.WantExactlyOnce(r, traffic)
	b.WantCalm()
	a.WantCalm("the consumer group has gone on without this instance", "committing offsets failed") // and at once
	a.Stop()
	b.Stop()
}
