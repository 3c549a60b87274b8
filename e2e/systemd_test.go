package e2e

import (
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// systemd, as the program sees it: a socket that takes notices (sd_notify(3)).
type systemd struct {
	mu    sync.Mutex
	heard []string
}

func newSystemd(t *testing.T) (s *systemd, env []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s = &systemd{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buffer := make([]byte, 4096); ; {
			n, err := socket.Read(buffer)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.heard = append(s.heard, strings.Split(string(buffer[:n]), "\n")...)
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = socket.Close(); <-done })
	return s, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=600000"}
}

// count is how often it has heard this.
func (s *systemd) count(what string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.heard {
		if one == what {
			n++
		}
	}
	return n
}

// all is what it has heard.
func (s *systemd) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// before says whether it heard one thing before another.
func (s *systemd) before(one, other string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Index(s.heard, one) < slices.Index(s.heard, other)
}

// Under systemd the program is ready when it is a member of its group, alive also while the CMS is down, says what it
// waits for, and says that it stops.
func TestTellsSystemd(t *testing.T) {
	kafkatest.OnlyOnce(t, "what systemd is told")
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{})
	s, env := newSystemd(t)
	in := launchIn(t, env, r.flags()...).await()
	in.eventually("systemd hears that it is ready", func() bool { return s.count("READY=1") == 1 && in.Ready() })
	if !s.before("STATUS=joining the group", "READY=1") {
		t.Errorf("it was told %q", s.all())
	}
	r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable})
	r.Send(asks(20, 20, 9800)...)
	const outage = "STATUS=2 partitions; waits: breaker"
	in.eventually("systemd hears of the outage", func() bool { return s.count(outage) > 0 })
	alive := s.count("WATCHDOG=1")
	in.eventually("it goes on being alive", func() bool { return s.count("WATCHDOG=1") > alive+5 })
	in.Stop()
	kafkatest.Eventually(t, waitTimeout, "systemd hears of the stop", func() bool { return s.count("STOPPING=1") > 0 })
	if s.count("STOPPING=1") != 1 || s.count("READY=1") != 1 {
		t.Errorf("it was told %q", s.all())
	}
}
