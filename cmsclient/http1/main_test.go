package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server accepts connections, reads requests, and leaves the rest to handle: it returns false to have the connection
// closed.
type server struct {
	url string
	tls *tls.Config // of a client that trusts it; nil: plain
	// serverTLS has its certificate.
	serverTLS *tls.Config
	opened    atomic.Int32
}

func serve(t testing.TB, secured bool, handle func(conn net.Conn, r *http.Request, nth int) bool) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: "http://" + listener.Addr().String() + "/"}
	if secured {
		model := httptest.NewTLSServer(nil) // for its certificate
		model.Close()
		s.tls = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "example.com", MinVersion: tls.VersionTLS12}
		s.tls.RootCAs.AddCert(model.Certificate())
		s.serverTLS = &tls.Config{Certificates: model.TLS.Certificates, MinVersion: tls.VersionTLS12}
		listener = tls.NewListener(listener, s.serverTLS)
		s.url = "https" + strings.TrimPrefix(s.url, "http")
	}
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.opened.Add(1)
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				in := bufio.NewReader(conn)
				for nth := 1; ; nth++ {
					r, err := http.ReadRequest(in)
					if err != nil || !handle(conn, r, nth) {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		stop()
		listener.Close()
		wg.Wait()
	})
	return s
}

func (s *server) transport(t testing.TB, adjust func(*Config)) *Transport {
	cfg := Config{TLS: s.tls, ConnectTime: 10 * time.Second, IdleTime: time.Minute, MaxHeader: 8 << 10}
	if adjust != nil {
		adjust(&cfg)
	}
	transport := New(cfg)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// get makes one call and reads the answer to its end.
func get(ctx context.Context, t testing.TB, transport *Transport, url string) (status int, text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

func write(conn net.Conn, text string) bool {
	_, err := io.WriteString(conn, text)
	return err == nil
}
