package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/telemetry"
)

func TestServiceURLs(t *testing.T) {
	tests := map[string]struct {
		flag   []string
		listen string
		want   []string
		err    string
	}{
		"default":           {nil, "127.0.0.1:8080", []string{"http://127.0.0.1:8080"}, ""},
		"everywhere":        {nil, "0.0.0.0:8080", []string{"http://127.0.0.1:8080"}, ""},
		"everywhere, IPv6":  {nil, "[::]:8080", []string{"http://127.0.0.1:8080"}, ""},
		"no host":           {nil, ":8080", []string{"http://127.0.0.1:8080"}, ""},
		"a name":            {nil, "balanceq-0:1", []string{"http://balanceq-0:1"}, ""},
		"IPv6":              {nil, "[::1]:8080", []string{"http://[::1]:8080"}, ""},
		"off":               {nil, "", nil, ""},
		"off, but named":    {[]string{"http://a:1"}, "", []string{"http://a:1"}, ""},
		"several":           {[]string{"http://a:1/", "https://b/balanceq/", "c:2"}, ":1", []string{"http://a:1", "https://b/balanceq", "http://c:2"}, ""},
		"no port to listen": {nil, "8080", nil, "http.listen"},
		"empty":             {[]string{""}, ":1", nil, "http://host:port"},
		"no host to ask":    {[]string{"http://:80"}, ":1", nil, "http://host:port"},
		"another scheme":    {[]string{"ftp://a:1"}, ":1", nil, "http://host:port"},
		"no URL":            {[]string{"http://a b"}, ":1", nil, "http://host:port"},
		"a password":        {[]string{"http://ann:hunter2@a:1"}, ":1", nil, "without user"},
		"a bad password":    {[]string{"http://ann:hunter2%@a:1"}, ":1", nil, "--service"},
		"a query":           {[]string{"http://a:1?x=hunter2"}, ":1", nil, "without user"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := serviceURLs(test.flag, test.listen)
			if !slices.Equal(got, test.want) || (err == nil) != (test.err == "") {
				t.Fatalf("%q, %v; want %q", got, err, test.want)
			}
			if err != nil && (!strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hunter2")) {
				t.Error(err)
			}
		})
	}
}

// answering is an instance that answers everything in the same way, and remembers what it was asked.
func answering(t *testing.T, status int, body string) (at serviceInstance, asked *[]*http.Request) {
	t.Helper()
	asked = &[]*http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r)
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return serviceInstance{server.URL}, asked
}

func TestAskInstance(t *testing.T) {
	const ready = `{"ready":false,"why":"not a member","paused":"too many","breaker":"closed"}`
	for _, status := range []int{200, 503} {
		in, _ := answering(t, status, ready)
		if h, err := in.ready(t.Context()); err != nil || h != (telemetry.Health{Why: "not a member", Paused: "too many", Breaker: "closed"}) {
			t.Errorf("%d: %+v, %v", status, h, err)
		}
	}
	in, asked := answering(t, 200, `{"instance":"i","resumed":true,"was":"too many"}`)
	if got, err := in.resume(t.Context(), "ann@desk"); err != nil || got != (telemetry.Resumption{Instance: "i", Resumed: true, Was: "too many"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if r := (*asked)[0]; r.Method != http.MethodPost || r.URL.Path != "/resume" || r.Header.Get(telemetry.OperatorHeader) != "ann@desk" {
		t.Errorf("asked %s %s %v", r.Method, r.URL, r.Header)
	}

	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"another program":       {200, "<html>", "does not answer as balanceq does"},
		"an older version":      {404, "404 page not found", "answers 404 to POST /resume"},
		"a login":               {302, "", "answers 302"},
		"an answer without end": {200, `{"was":"` + strings.Repeat("a", maxInstanceAnswer) + `"}`, "does not answer as balanceq does"},
	} {
		in, asked := answering(t, test.status, test.body)
		if _, err := in.resume(t.Context(), "ann"); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), in.url) {
			t.Errorf("%s: %v", name, err)
		}
		if len(*asked) != 1 {
			t.Errorf("%s: asked %d times", name, len(*asked))
		}
	}
	if _, err := (serviceInstance{"http://127.0.0.1:1"}).ready(t.Context()); err == nil || strings.Count(err.Error(), "http://") != 1 ||
		!strings.Contains(err.Error(), "cannot be reached") {
		t.Error(err)
	}
}

// Whatever the name, an instance takes it.
func TestOperator(t *testing.T) {
	for name, want := range map[[2]string]string{
		{"ann", "desk"}:                        "ann@desk",
		{"", ""}:                               "somebody@unknown",
		{"änn\nlevel=error", "d\x1b[2J"}:       "_nn_level=error@d_[2J",
		{strings.Repeat("a", 500), "h"}:        strings.Repeat("a", 60) + "@h",
		{"4111111111111111", "h"}:              "411111******1111@h",
		{"\xff\xfe", strings.Repeat("é", 100)}: "__@" + strings.Repeat("_", 60),
	} {
		got := cleanOperator(name[0], name[1])
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(operator(), "@") {
		t.Error(operator())
	}
}

func TestResumeCommand(t *testing.T) {
	paused, _ := answering(t, 200, `{"instance":"i\u001b[2J1","resumed":true,"was":"100 of 100"}`)
	calm, _ := answering(t, 200, `{"instance":"i2","resumed":false,"was":"it was not paused"}`)
	const gone = "http://127.0.0.1:1"
	tests := map[string]struct {
		args []string
		code int
		want []string
	}{
		"one":         {[]string{"--service", paused.url}, 0, []string{"i [2J1 (" + paused.url + "): resumed; 100 of 100"}},
		"by listen":   {[]string{"--http.listen", strings.TrimPrefix(calm.url, "http://")}, 0, []string{"i2 (" + calm.url + "): nothing to do; it was not paused"}},
		"one is gone": {[]string{"--service", gone + "," + paused.url}, 1, []string{"resumed", gone + " cannot be reached", "--service http://host:port"}},
		"off":         {[]string{"--http.listen=off"}, 2, []string{"http.listen is off", "--service"}},
		"no address":  {[]string{"--service=http://"}, 2, []string{"--service"}},
		"no time":     {[]string{"--timeout=0s"}, 2, []string{"--timeout"}},
		"arguments":   {[]string{"now"}, 2, []string{"unexpected argument"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := execute(context.Background(), append([]string{"resume"}, test.args...), nil, &out, &out)
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
