package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// resumable is an instance that answers with body.
func resumable(t *testing.T, body string) (url string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestResumeCommand(t *testing.T) {
	paused := resumable(t, `{"instance":"i\u001b[2J1","resumed":true,"was":"100 of 100"}`)
	calm := resumable(t, `{"instance":"i2","resumed":false,"was":"it was not paused"}`)
	const gone = "http://127.0.0.1:1"
	tests := map[string]struct {
		args []string
		code int
		want []string
	}{
		"one": {[]string{"--service", paused}, 0, []string{"i [2J1 (" + paused + "): resumed; 100 of 100"}},
		"by admin": {[]string{"--http.admin", strings.TrimPrefix(calm, "http://")}, 0,
			[]string{"i2 (" + calm + "): nothing to do; it was not paused"}},
		"one is gone": {[]string{"--service", gone + "," + paused}, 1,
			[]string{"resumed", gone + " cannot be reached", "--service http://host:port"}},
		"off": {[]string{"--http.admin=off"}, 2, []string{"http.admin is off", "--service"}},
		"no token": {[]string{"--token-file=" + filepath.Join(t.TempDir(), "none"), "--service", paused}, 2,
			[]string{"--token-file", "no such file"}},
		"an empty token": {[]string{"--token-file=" + os.DevNull, "--service", paused}, 2,
			[]string{"--token-file", "does not hold one token"}},
		"half a certificate": {[]string{"--cert-file=" + os.DevNull, "--service", paused}, 2,
			[]string{"--cert-file, --key-file"}},
		"no authority": {[]string{"--ca-file=" + os.DevNull, "--service", paused}, 2,
			[]string{"--ca-file", "no PEM certificate"}},
		"no address": {[]string{"--service=http://"}, 2, []string{"--service"}},
		"no time":    {[]string{"--timeout=0s"}, 2, []string{"--timeout"}},
		"arguments":  {[]string{"now"}, 2, []string{"unexpected argument"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := Execute(context.Background(), append([]string{"resume"}, test.args...), nil, &out, &out)
			if code != test.code {
				t.Errorf("exit code %d: %s", code, out.String())
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in %s", want, out.String())
				}
			}
		})
	}
}
