package instances

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/telemetry"
)

func TestServiceURLs(t *testing.T) {
	tests := map[string]struct {
		flag   []string
		listen string
		want   []string
		err    string
	}{
		"default":          {nil, "127.0.0.1:8080", []string{"http://127.0.0.1:8080"}, ""},
		"everywhere":       {nil, "0.0.0.0:8080", []string{"http://127.0.0.1:8080"}, ""},
		"everywhere, IPv6": {nil, "[::]:8080", []string{"http://127.0.0.1:8080"}, ""},
		"no host":          {nil, ":8080", []string{"http://127.0.0.1:8080"}, ""},
		"a name":           {nil, "balanceq-0:1", []string{"http://balanceq-0:1"}, ""},
		"IPv6":             {nil, "[::1]:8080", []string{"http://[::1]:8080"}, ""},
		"off":              {nil, "", nil, ""},
		"off, but named":   {[]string{"http://a:1"}, "", []string{"http://a:1"}, ""},
		"several": {[]string{"http://a:1/", "https://b/balanceq/", "c:2"}, ":1",
			[]string{"http://a:1", "https://b/balanceq", "http://c:2"}, ""},
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
			got, err := URLs(test.flag, Listener{Key: "http.listen", Address: test.listen})
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
func answering(t *testing.T, status int, body string) (at Instance, asked *[]*http.Request) {
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
	return At(server.URL, Access{}), asked
}

func TestAskInstance(t *testing.T) {
	const ready = `{"ready":false,"why":"not a member","paused":"too many","breaker":"closed"}`
	for _, status := range []int{200, 503} {
		in, _ := answering(t, status, ready)
		if h, err := in.Ready(t.Context()); err != nil ||
			h != (telemetry.Health{Why: "not a member", Paused: "too many", Breaker: cmsclient.BreakerClosed}) {
			t.Errorf("%d: %+v, %v", status, h, err)
		}
	}
	in, asked := answering(t, 200, `{"instance":"i","resumed":true,"was":"too many"}`)
	if got, err := in.Resume(t.Context(), "ann@desk"); err != nil ||
		got != (telemetry.Resumption{Instance: "i", Resumed: true, Was: "too many"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if r := (*asked)[0]; r.Method != http.MethodPost || r.URL.Path != "/resume" ||
		r.Header.Get(telemetry.OperatorHeader) != "ann@desk" {
		t.Errorf("asked %s %s %v", r.Method, r.URL, r.Header)
	}

	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"another program": {200, "<html>", "does not answer as balanceq does"},
		"the probes' port": {404, "not here, but at http.admin, http://127.0.0.1:8081\n",
			"does not take orders: ask it at its http.admin, http://127.0.0.1:8081"},
		"a token is missing": {401, "the token is missing or wrong: send it\n", "refuses: the token is missing"},
		"an older version":   {404, "404 page not found", "answers 404 to POST /resume"},
		"a login":            {302, "", "answers 302"},
		"an answer without end": {200, `{"was":"` + strings.Repeat("a", maxInstanceAnswer) + `"}`,
			"does not answer as balanceq does"},
	} {
		in, asked := answering(t, test.status, test.body)
		if _, err := in.Resume(t.Context(), "ann"); err == nil || !strings.Contains(err.Error(), test.want) ||
			!strings.Contains(err.Error(), in.URL) {
			t.Errorf("%s: %v", name, err)
		}
		if len(*asked) != 1 {
			t.Errorf("%s: asked %d times", name, len(*asked))
		}
	}
	if _, err := At("http://127.0.0.1:1", Access{}).Ready(t.Context()); err == nil ||
		strings.Count(err.Error(), "http://") != 1 ||
		!strings.Contains(err.Error(), "cannot be reached") {
		t.Error(err)
	}
}

// Whatever the name, an instance takes it.
func TestOperator(t *testing.T) {
	for name, want := range map[[2]string]string{
		{"ann", "desk"}:                        "ann@desk",
		{"", ""}:                               "unknown@unknown",
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
	if !strings.Contains(Operator(), "@") {
		t.Error(Operator())
	}
}
