package doctor

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
)

const proxyPassword = "tunnel-of-love-5"

// A proxy of the environment may have a login, which must not come out. net/http reads the environment once in a
// process, so the test runs itself again in one of its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	if address := os.Getenv("BALANCEQ_TEST_PROXY"); address != "" {
		checkThroughProxy(t, address)
		return
	}
	late := time.Now().Add(-90 * time.Second)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") == "" || r.URL.Host != "cms.example" {
			t.Errorf("the proxy was asked for %q, login %q", r.URL.Host, r.Header.Get("Proxy-Authorization"))
		}
		w.Header().Set("Date", late.UTC().Format(http.TimeFormat))
	}))
	defer proxy.Close()
	address := proxy.Listener.Addr().String()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyOfTheEnvironment$", "-test.v")
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasSuffix(strings.ToUpper(name), "_PROXY") &&
			name != "REQUEST_METHOD" {
			again.Env = append(again.Env, v)
		}
	}
	again.Env = append(again.Env, "HTTP_PROXY=http://joe:"+proxyPassword+"@"+address, "BALANCEQ_TEST_PROXY="+address)
	out, err := again.CombinedOutput()
	if err != nil || strings.Contains(string(out), proxyPassword) ||
		!strings.Contains(string(out), "proxy 127.0.0.1: connected to "+address) {
		t.Errorf("%v\n%s", err, out)
	}
}

func checkThroughProxy(t *testing.T, address string) {
	t.Helper()
	cfg := config.Default()
	cfg.CMS.URL = "http://cms.example/core"
	for _, tt := range []struct {
		got    Result
		status Status
		detail string
	}{
		{summary("", checkDNS(t.Context(), cfg)), OK, "proxy 127.0.0.1 is an address"},
		{summary("", checkTCP(t.Context(), cfg)), OK, "proxy 127.0.0.1: connected to " + address},
		{summary("", checkTLS(t.Context(), cfg)), OK, "not used"},
		{summary("", checkClock(t.Context(), cfg)), Fail, "ahead of the CMS"},
	} {
		t.Logf("%+v", tt.got)
		if tt.got.Status != tt.status || !strings.Contains(tt.got.Detail, tt.detail) {
			t.Errorf("want %s %q", tt.status, tt.detail)
		}
	}
}

func TestFirstHop(t *testing.T) {
	for _, tt := range []struct {
		url, proxy string
		want       connect.Hop
	}{
		{"https://cms.example/core", "off", connect.Hop{Host: "cms.example", Port: "443", Proxy: false}},
		{"http://cms.example/core", "off", connect.Hop{Host: "cms.example", Port: "80", Proxy: false}},
		{"https://[::1]:8443", "off", connect.Hop{Host: "::1", Port: "8443", Proxy: false}},
		{"https://cms.example/core", "http://proxy.example:80", connect.Hop{Host: "proxy.example", Port: "80", Proxy: true}},
		{"http://cms.example/core", "https://proxy.example:443",
			connect.Hop{Host: "proxy.example", Port: "443", Proxy: true}},
		{"https://127.0.0.1:1/core", "http://proxy.example:3128",
			connect.Hop{Host: "proxy.example", Port: "3128", Proxy: true}},
	} {
		cfg := config.Default()
		cfg.CMS.URL, cfg.CMS.Proxy = tt.url, tt.proxy
		if got, err := connect.FirstHop(cfg.CMS); err != nil || got != tt.want {
			t.Errorf("%s by %s: %+v, %v, want %+v", tt.url, tt.proxy, got, err, tt.want)
		}
	}
}

// An answer without a date, and one that is none, are no reason to accuse the clock.
func TestClockWithoutDate(t *testing.T) {
	for _, date := range [][]string{nil, {"yesterday"}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
			_ *http.Request) {
			w.Header()["Date"] = date
		}))
		cfg := config.Default()
		cfg.CMS.URL, cfg.CMS.Proxy = server.URL, config.ProxyOff
		if got := summary("", checkClock(t.Context(), cfg)); got.Status != Warn || !strings.Contains(got.Detail, "no date") {
			t.Errorf("Date %q: %+v", date, got)
		}
		server.Close()
	}
}

// Which of its two signs of a refused client certificate comes first, the alert or the reset, is up to chance; without
// the server's having asked for a certificate neither is one.
func TestTLSFailure(t *testing.T) {
	none, own := config.TLSFiles{}, config.TLSFiles{CertFile: "c.pem", KeyFile: "k.pem"}
	alert := fmt.Errorf("reading: %w", &net.OpError{Op: "remote error", Err: tls.AlertError(116)})
	reset := fmt.Errorf("reading: %w", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)})
	late := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	const missing, refused, other = "and none is set", "the client certificate is refused", ""
	for name, tt := range map[string]struct {
		err   error
		asked bool
		files config.TLSFiles
		want  string
	}{
		"alert, none":           {alert, true, none, missing},
		"alert, own":            {alert, true, own, refused},
		"alert, not asked":      {alert, false, own, other},
		"reset, none":           {reset, true, none, missing},
		"reset, own":            {reset, true, own, refused},
		"reset, not asked":      {reset, false, none, other},
		"closed, none":          {io.EOF, true, none, missing},
		"closed halfway, own":   {io.ErrUnexpectedEOF, true, own, refused},
		"cannot write, own":     {syscall.EPIPE, true, own, refused},
		"too late, asked":       {late, true, own, other},
		"no TLS, asked somehow": {tls.RecordHeaderError{Msg: "x"}, true, own, "does not speak TLS"},
	} {
		got := summary("", tlsFailure(tt.err, tt.asked, tt.files))
		if got.Status != Fail || !strings.Contains(got.Detail, tt.want) || got.Fix == "" {
			t.Errorf("%s: %+v, want %q", name, got, tt.want)
		}
		if tt.want == other && !strings.HasPrefix(got.Fix, "check the host and port") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
