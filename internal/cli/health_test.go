package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// healthy is an instance that answers /livez and /readyz with a status and a body each, and returns its host:port.
func healthy(t *testing.T, status int, live, ready string) (listen string) {
	t.Helper()
	mux := http.NewServeMux()
	for path, body := range map[string]string{"GET /livez": live, "GET /readyz": ready} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Against a running instance, in its container, it is tried by .ci/release.
func TestHealthCommand(t *testing.T) {
	well := healthy(t, 200, "ok\n",
		`{"ready":true,"waiting":"breaker\u001b[2J","breaker":"open","partitions":4,"inFlight":256,"lag":18230}`)
	ill := healthy(t, 503, `{"stage":"call","reason":"none has\u001b[2J ended","since":"2026-03-01T09:12:44Z"}`,
		`{"ready":false,"why":"not a member","breaker":"closed"}`)
	other := healthy(t, 503, "<html>", "<html>")
	tests := map[string]struct {
		args []string
		env  []string
		code int
		want string
	}{
		"alive": {[]string{"--http.listen", well}, nil, 0, "alive\n"},
		"everywhere": {[]string{"--http.listen", strings.Replace(well, "127.0.0.1", "0.0.0.0", 1)}, nil, 0,
			"alive\n"},
		"by the environment": {nil, []string{"BALANCEQ_HTTP_LISTEN=" + well}, 0, "alive\n"},
		"ready": {[]string{"--ready", "--http.listen", well}, nil, 0,
			"ready: 4 partitions, 256 requests in flight, lag 18230; waits: breaker [2J\n"},
		"stuck": {[]string{"--http.listen", ill}, nil, 1,
			"balanceq: stuck at call since 2026-03-01T09:12:44Z: none has [2J ended\n"},
		"not ready": {[]string{"--ready", "--http.listen", ill}, nil, 1, "balanceq: not ready: not a member\n"},
		"another program": {[]string{"--http.listen", other}, nil, 1,
			"balanceq: http://" + other + " does not answer as balanceq does: "},
		"nothing there": {[]string{"--http.listen=127.0.0.1:1"}, nil, 1,
			"balanceq: http://127.0.0.1:1 cannot be reached: "},
		"off": {[]string{"--http.listen=off"}, nil, 2,
			"balanceq: http.listen is off, so there is nothing to ask: "},
		"a wrong configuration": {[]string{"--http.listen=8080"}, nil, 2, "balanceq: http.listen"},
		"arguments":             {[]string{"now"}, nil, 2, "balanceq: unexpected argument"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := Execute(context.Background(), append([]string{"health"}, test.args...), test.env, &out, &out)
			if code != test.code || !strings.HasPrefix(out.String(), test.want) {
				t.Errorf("exit code %d: %q; want %d, %q", code, out.String(), test.code, test.want)
			}
		})
	}
}
