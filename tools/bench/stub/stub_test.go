package stub

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, latency time.Duration) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", latency)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func path(contract int) string {
	return fmt.Sprintf("/contracts/%d/balances?balance_codes=AVAILABLE,BLOCKED", contract)
}

func get(t *testing.T, target string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// Many clients at once get what the simulator would have told them, each about its own contract, and no sooner than
// they are to.
func TestAnswersAreTheSimulators(t *testing.T) {
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			s, sim := listen(t, latency), cmssim.New(cmssim.Config{})
			defer sim.Close()
			transport := &http.Transport{MaxIdleConnsPerHost: 64}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			const callers, each = 64, 20
			var callsDone sync.WaitGroup
			for caller := range callers {
				callsDone.Go(func() {
					for i := range each {
						contract := 100_000 + caller*each + i
						if i == 0 {
							contract = 404_000 + caller // which do not exist
						}
						want := httptest.NewRecorder()
						sim.ServeHTTP(want, get(t, cmssim.BasePath+path(contract)))
						began := time.Now()
						request := get(t, s.URL()+path(contract))
						got, err := client.Do(request)
						if err != nil {
							t.Error(err)
							return
						}
						body, err := io.ReadAll(got.Body)
						_ = got.Body.Close()
						if err != nil || got.StatusCode != want.Code || string(body) != want.Body.String() ||
							got.Header.Get("Content-Type") != want.Header().Get("Content-Type") {
							t.Errorf("contract %d: %d %s %v", contract, got.StatusCode, body, err)
						}
						if took := time.Since(began); took < latency {
							t.Errorf("answered after %v", took)
						}
					}
				})
			}
			callsDone.Wait()
			stats := s.Stats()
			if stats.Calls != callers*each || stats.MaxInFlight < 1 || stats.MaxInFlight > callers ||
				stats.Connections < 1 {
				t.Errorf("%+v", stats)
			}
		})
	}
}

func exchange(t *testing.T, s *Server, sent string) (conn net.Conn, r *bufio.Reader) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	for _, latency := range []time.Duration{0, 5 * time.Millisecond} {
		var sent strings.Builder
		const n = 500
		for i := range n {
			last := ""
			if i == n-1 {
				last = "connection: Close\r\n"
			}
			fmt.Fprintf(&sent, "GET %s%s HTTP/1.1\r\nHost: x\r\nContent-Length:0\r\n%s\r\n",
				cmssim.BasePath, path(100_000+i), last)
		}
		_, r := exchange(t, listen(t, latency), sent.String())
		for i := range n {
			response, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(i, err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if want := cmssim.Balances(int64(100_000+i), "AVAILABLE")[0].ID; !strings.Contains(string(body), want) {
				t.Errorf("%d: %s", i, body)
			}
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Error("after the last answer: ", err)
		}
	}
}

func TestOthersAreRefused(t *testing.T) {
	s := listen(t, 0)
	for _, sent := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\n\n",
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost x\r\n\r\n",
		"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		_, r := exchange(t, s, sent)
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("%q: %v", sent, err)
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotImplemented || !response.Close {
			t.Errorf("%q: %d, close %v", sent, response.StatusCode, response.Close)
		}
	}
}

// An answer under way when the server is closed is lost with its connection, and nothing is left running (TestMain).
func TestCloseCutsWhatWaits(t *testing.T) {
	s := listen(t, time.Hour)
	_, r := exchange(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for s.Stats().MaxInFlight == 0 {
		wait.Sleep(t.Context(), time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if b, err := r.ReadByte(); err == nil {
		t.Errorf("got %q", b)
	}
}
