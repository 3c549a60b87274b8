package e2e

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// What is wrong is said at the start, with what to do about it, and with the right exit code.
func TestSaysWhatIsWrongAtTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // after the subtests, which are parallel
	file := filepath.Join(t.TempDir(), "balanceq.yaml")
	if err := os.WriteFile(file, []byte("cms:\n  timout: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		code int
		want []string
	}{
		"topic missing": {append(r.flags(), "--topics.results=not-there"), 1,
			[]string{"not-there does not exist", "balanceq topics create"}},
		"no CMS":        {r.flagsWithout("cms.url"), 2, []string{"cms.url", "BALANCEQ_CMS_URL"}},
		"CMS is no URL": {append(r.flagsWithout("cms.url"), "--cms.url=cms.example"), 2, []string{"cms.url", "https://"}},
		"bad value":     {append(r.flags(), "--cms.timeout=soon"), 2, []string{"cms.timeout", "soon"}},
		"bad pair": {append(r.flags(), "--topics.results="+r.requests), 2,
			[]string{"topics.results", "topics.requests", "its own topic"}},
		"unknown flag": {append(r.flags(), "--cms.timout=5s"), 2, []string{"cms.timout", "cms.timeout"}},
		"unknown key":  {append(r.flags(), "--config="+file), 2, []string{"timout", "cms.timeout"}},
		"no such file": {append(r.flags(), "--config="+file+".not"), 2, []string{"--config"}},
		"argument":     {append(r.flags(), "now"), 2, []string{"now"}},
		"port taken": {append(r.flags(), "--http.listen="+taken.Addr().String()), 1,
			[]string{"http.listen", "in use", "choose another"}},
		"admin port taken": {append(r.flags(), "--http.admin="+taken.Addr().String()), 1,
			[]string{"http.admin", "in use", "choose another"}},
		"admin for everybody": {append(r.flags(), "--http.admin=0.0.0.0:8081"), 2,
			[]string{"http.admin", "other machines", "http.admin-token-file", "http.admin-tls.client-ca-file"}},
		"no delivery":     {append(r.flags(), "--delivery=exactly-twice"), 2, []string{"delivery", "exactly-once"}},
		"unknown command": {[]string{"rum"}, 2, []string{"rum", "balanceq --help"}},
	}
	t.Cleanup(func() { // after the subtests
		if got := r.broker.GroupMembers(t, r.group); got != 0 {
			t.Errorf("%d members joined the group", got)
		}
	})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := launch(t, test.args...)
			if code := in.wait(waitTimeout).ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(in.output.String(), want) {
					t.Errorf("the message does not say %q", want)
				}
			}
		})
	}
}

// flagsWithout leaves out one key: a list would get longer by giving it again.
func (r *rig) flagsWithout(key string) []string {
	return slices.DeleteFunc(r.flags(), func(f string) bool { return strings.HasPrefix(f, "--"+key+"=") })
}

// A cluster that cannot be reached is waited for, and said; a signal ends the waiting.
func TestWaitsForKafkaAndStopsWhenTold(t *testing.T) {
	kafkatest.OnlyOnce(t, "a broker that is not there")
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	unused, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := unused.Addr().String()
	if err := unused.Close(); err != nil {
		t.Fatal(err)
	}
	in := launch(t, append(r.flagsWithout("kafka.brokers"), "--kafka.brokers="+address)...)
	in.eventually("the log says that Kafka is waited for", func() bool { return len(in.Logs("waiting for Kafka")) > 0 })
	began := time.Now()
	in.signal(syscall.SIGTERM)
	in.wait(waitTimeout)
	if took := time.Since(began); took > waitTimeout/3 {
		t.Errorf("it took %v to stop", took)
	}
	if !strings.Contains(in.output.String(), "balanceq: ") {
		t.Error("it ended without a word")
	}
}

// A CMS that is down is no reason not to start: requests wait for it.
func TestStartsWithoutCMS(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r.cmsURL = "http://" + address + cmssim.BasePath
	r.Send(asks(20, 10, 21_000)...)
	in := r.StartReady()
	if warned := in.Logs("cannot be reached"); len(warned) != 1 || !strings.Contains(warned[0].text("fix"), "cms.url") {
		t.Errorf("warnings %v", warned)
	}
	in.eventually("the breaker opens", func() bool { h, _ := in.Health(); return h.Waiting == "breaker" })
	server, err := cmssim.Listen(address, cmssim.Config{})
	if err != nil {
		t.Skipf("somebody took the address: %v", err)
	}
	defer server.Close()
	r.AwaitCommitted()
	ledger := r.Ledger()
	ledger.WantExactlyOnce()
	ledger.WantNoDeadLetters()
	in.Stop()
}
