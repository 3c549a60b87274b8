package deadletters

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/cli/instances"
)

// A replay waits for each instance that cannot work, and not for one of several that is away.
func TestServiceWatch(t *testing.T) {
	serve := func(body string) instances.Instance {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return instances.At(s.URL, instances.Access{})
	}
	good, open := serve(`{"ready":true,"breaker":"closed"}`), serve(`{"breaker":"open"}`)
	halted, paused := serve(`{"halted":"the keys","breaker":"closed"}`), serve(`{"paused":"too many","breaker":"closed"}`)
	away := instances.At("http://127.0.0.1:1", instances.Access{})
	tests := map[string]struct {
		instances []instances.Instance
		want      string
	}{
		"none": {nil, ""}, "good": {[]instances.Instance{good}, ""},
		"open":                 {[]instances.Instance{open}, "circuit breaker is open"},
		"the second is open":   {[]instances.Instance{good, open}, "circuit breaker is open"},
		"the second is halted": {[]instances.Instance{good, halted}, "the keys"},
		"the last is paused":   {[]instances.Instance{good, away, paused}, "too many"},
		"one is away":          {[]instances.Instance{good, away}, ""},
		"all are away":         {[]instances.Instance{away, away}, "cannot be reached"},
	}
	for name, test := range tests {
		w := &serviceWatch{instances: test.instances}
		if got := w.ask(t.Context()); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// The ledger says which flags chose the letters, as they were written.
func TestFilterText(t *testing.T) {
	var f filterFlags
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.register(fs)
	fs.String("output", "", "")
	if err := fs.Parse([]string{"--grep=[0-9]{3} x", "--reason=expired,none", "--status=400", "--output=json",
		"--not-replayed"}); err != nil {
		t.Fatal(err)
	}
	if got, want := filterText(fs),
		`--reason expired,none --status 400 --grep "[0-9]{3} x" --not-replayed true`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if q, err := f.query(time.Now()); err != nil || len(q.Reasons) != 2 || q.Reasons[1] != "" {
		t.Errorf("%+v, error %v", q, err)
	}
}

// Every dead letter is replayed only by someone who asks for every dead letter.
func TestReplayOfAllIsAskedFor(t *testing.T) {
	tests := map[string]struct {
		o      replayOptions
		filter string
		want   string
	}{
		"counted":              {replayOptions{}, "", ""},
		"all":                  {replayOptions{execute: true, all: true}, "", ""},
		"some":                 {replayOptions{execute: true}, "--reason expired", ""},
		"the first":            {replayOptions{execute: true, limit: 1}, "", ""},
		"no filter":            {replayOptions{execute: true}, "", "--execute: would replay every dead letter"},
		"all, and a filter":    {replayOptions{execute: true, all: true}, "--reason expired", "--all: is for"},
		"all, and the first":   {replayOptions{all: true, limit: 1}, "", "--all: is for"},
		"all, without execute": {replayOptions{all: true}, "", ""},
	}
	for name, test := range tests {
		err := test.o.checkAll(test.filter)
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
