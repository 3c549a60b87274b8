package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/balanceq/balanceq/schemas"
)

// address is one of a registry, which counts what it is asked.
type address struct {
	*httptest.Server
	asked atomic.Int32
}

func newAddress(t *testing.T, answers http.Handler) *address {
	t.Helper()
	a := new(address)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		answers.ServeHTTP(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *address) host() string { return strings.TrimPrefix(a.URL, "http://") }

func newClient(t *testing.T, addresses ...*address) *Client {
	t.Helper()
	var cfg Config
	for _, a := range addresses {
		cfg.URLs = append(cfg.URLs, a.URL+"/apis")
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// What is no answer of a registry has the next address asked, and that one first from then on. What is one is believed.
func TestNextAddress(t *testing.T) {
	const secret = "hunter2"
	hung := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, test := range map[string]struct {
		first http.Handler
		want  string // in the error; "": the second address answers
	}{
		"hung up":         {hung, ""},
		"500":             {status(500, `{"error_code":50003,"message":"`+secret+`"}`), ""},
		"503 of a proxy":  {status(503, "<html>"+secret), ""},
		"429":             {status(429, ""), ""},
		"408":             {status(408, ""), ""},
		"404 of a proxy":  {status(404, "<html>"), ""},
		"302":             {status(302, ""), ""},
		"400":             {status(400, "HTTP to an HTTPS server"), ""},
		"HTML":            {status(200, "<html>"+secret), ""},
		"an empty object": {status(200, "{}"), ""},
		"too long":        {status(200, `{"schema":"`+strings.Repeat("a", maxAnswer)+`"}`), ""},
		"401":             {status(401, secret), "answers HTTP 401"},
		"403":             {status(403, secret), "answers HTTP 403"},
		"an unknown one":  {status(404, `{"error_code":40401,"message":"`+secret+`"}`), "answers HTTP 404, 40401"},
		"an incompatible": {status(409, `{"error_code":409,"message":"`+secret+`"}`), "answers HTTP 409"},
		"an invalid one":  {status(422, `{"error_code":42201,"message":"`+secret+`"}`), "answers HTTP 422, 42201"},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := newAddress(t, test.first), newAddress(t, status(200, `{"id":7}`))
			c := newClient(t, first, second)
			id, err := c.ID(t.Context(), subject, "{}", false)
			if test.want != "" {
				if id != 0 || err == nil || !strings.Contains(err.Error(), test.want) || second.asked.Load() > 0 {
					t.Errorf("id %d, error %v; the second address was asked %d times", id, err, second.asked.Load())
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("repeats what the registry said: %v", err)
				}
				return
			}
			before := first.asked.Load()
			again, failed := c.ID(t.Context(), subject, "{}", false)
			if id != 7 || again != 7 || err != nil || failed != nil {
				t.Errorf("ids %d and %d, errors %v and %v", id, again, err, failed)
			}
			if first.asked.Load() != before || second.asked.Load() != 2 {
				t.Errorf("asked %d and %d times", first.asked.Load(), second.asked.Load())
			}
			second.Close() // and now the first one is asked again
			if _, err := c.ID(t.Context(), subject, "{}", false); err == nil || first.asked.Load() == before {
				t.Errorf("error %v, with %d requests to the first address", err, first.asked.Load())
			}
		})
	}
}

// Where none answers, each is named with what it said, but for what could be a secret.
func TestNoAddressAnswers(t *testing.T) {
	gone, failing := newAddress(t, status(200, "")), newAddress(t, status(503, "hunter2"))
	gone.Close()
	_, err := newClient(t, gone, failing).Has(t.Context(), []string{subject})
	said, is := errors.AsType[*Error](err)
	if !is || !said.Away() || said.Denied() || said.NotFound() {
		t.Fatalf("%#v", err)
	}
	want := "the schema registry at " + failing.host() + " answers HTTP 503; the schema registry at " + gone.host() +
		": dial tcp " + gone.host() + ": connect: connection refused"
	if err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a registry without an address")
	}
}

// An address that does not answer takes its share of the time and no more, so another one still can.
func TestOneAddressHangs(t *testing.T) {
	hung := newAddress(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	c := newClient(t, hung, newAddress(t, fake(t)))
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // half of it is more than a call may take
	defer cancel()
	if d, err := c.describe(ctx, 1, []string{subject}); err != nil || !d.allowed || d.kind != sr.TypeJSON {
		t.Errorf("%+v, %v", d, err)
	}
	if hung.asked.Load() > 1 {
		t.Errorf("the one that hangs was asked %d times", hung.asked.Load())
	}
	short, cancel := share(ctx, 4)
	defer cancel()
	if end, bounded := short.Deadline(); !bounded || time.Until(end) > 2*time.Second {
		t.Errorf("a share ends in %v", time.Until(end))
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := c.Has(ended, []string{subject}); !errors.Is(err, context.Canceled) {
		t.Errorf("whose context has ended: %v", err)
	}
}

// What is half known of an id by an address that then fails does not count with the next one.
func TestHalfAnAnswer(t *testing.T) {
	half := newAddress(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/subjects") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write([]byte(`{"schema":"{}","schemaType":"JSON"}`))
	}))
	c := newClient(t, half, newAddress(t, status(404, `{"error_code":40403,"message":"Schema not found"}`)))
	if d, err := c.describe(t.Context(), 1, []string{subject}); err != nil || d.known {
		t.Errorf("%+v, %v", d, err)
	}
}

// The schema is looked up as it is, then with its members in another order, and registered only where that is wanted.
func TestRegistersWhereItIsWanted(t *testing.T) {
	c := newClient(t, newAddress(t, fake(t)))
	if _, err := c.ID(t.Context(), "new-value", schemas.ResultSchema(), false); !notFoundError(err) {
		t.Errorf("%v", err)
	}
	id, err := c.ID(t.Context(), "new-value", schemas.ResultSchema(), true)
	again, failed := c.ID(t.Context(), "new-value", schemas.ResultSchema(), false)
	if id == 0 || id != again || err != nil || failed != nil {
		t.Errorf("ids %d and %d, errors %v and %v", id, again, err, failed)
	}
}

func notFoundError(err error) bool {
	said, is := errors.AsType[*Error](err)
	return is && said.NotFound()
}
