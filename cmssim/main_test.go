package cmssim_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/balanceq/balanceq/cmssim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a simulator on a real socket and a client of its own.
func start(t *testing.T, config cmssim.Config) (*cmssim.Server, *http.Client) {
	t.Helper()
	server, err := cmssim.Listen("127.0.0.1:0", config)
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return server, client
}

// address returns the host:port of a server.
func address(server *cmssim.Server) string {
	return strings.TrimSuffix(strings.TrimPrefix(server.URL(), "http://"), cmssim.BasePath)
}

// answer is what a client saw of an answer.
type answer struct {
	status int
	header http.Header
	length int64 // as announced; -1 if it was not
	body   string
}

// ask calls a URL over the socket.
func ask(t *testing.T, client *http.Client, url string) answer {
	t.Helper()
	got, err := tryAsk(t.Context(), client, url)
	if err != nil {
		t.Fatalf("GET: %v", err)
	}
	return got
}

func tryAsk(ctx context.Context, client *http.Client, url string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, response.ContentLength, string(body)}, err
}

// goAsk calls a URL in the background and delivers the error.
func goAsk(ctx context.Context, client *http.Client, url string) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := tryAsk(ctx, client, url)
		result <- err
	}()
	return result
}

// direct calls the handler without a socket.
func direct(sim http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	sim.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, target, nil))
	return w
}

// control sends a control request without a socket.
func control(sim http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	sim.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, "/_sim"+path, strings.NewReader(body)))
	return w
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
