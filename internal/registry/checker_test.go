package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/balanceq/balanceq/schemas"
)

const subject = "balance.requests-value"

// rig is a checker of a registry that counts what it is asked.
type rig struct {
	*Checker
	log       *bytes.Buffer
	asked     atomic.Int32 // requests
	unchecked atomic.Int32
}

func newRig(t *testing.T, registry http.Handler) *rig {
	t.Helper()
	r := &rig{log: new(bytes.Buffer)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asked.Add(1)
		registry.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	client, err := New(Config{URLs: []string{server.URL + "/apis"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Checker = NewChecker(client, []string{subject}, zerolog.New(r.log), func() { r.unchecked.Add(1) })
	return r
}

// refuse is "" for what is accepted.
func (r *rig) refuse(t *testing.T, id uint32) string {
	t.Helper()
	if refusal := r.Refuse(t.Context(), id); refusal != nil {
		return refusal.Error()
	}
	return ""
}

// fake is franz-go's registry, with a schema of each kind.
func fake(t *testing.T) http.Handler {
	t.Helper()
	f := srfake.New()
	t.Cleanup(f.Close)
	for id, s := range map[int]struct {
		subject string
		of      sr.SchemaType
	}{
		1: {subject, sr.TypeJSON}, 2: {"another-value", sr.TypeJSON}, 7: {subject, sr.TypeAvro},
		8: {"b-value", sr.TypeProtobuf},
	} {
		f.SeedSchema(s.subject, id, id, sr.Schema{Schema: fmt.Sprintf(`{"type":"object","title":"%d"}`, id), Type: s.of})
	}
	return http.StripPrefix("/apis", f.Handler())
}

func TestChecker(t *testing.T) {
	r := newRig(t, fake(t))
	const framed = "value: is framed as schema id "
	for range 3 {
		for id, want := range map[uint32]string{
			1:         "",
			2:         framed + "2, which is none of " + subject + "; send one of those",
			7:         framed + "7, which is AVRO; send JSON",
			8:         framed + "8, which is PROTOBUF; send JSON",
			9:         framed + "9, which the registry does not know; register the schema",
			1<<32 - 1: framed + "4294967295, which the registry does not know; register the schema",
		} {
			if got := r.refuse(t, id); got != want {
				t.Errorf("%d: %s", id, got)
			}
		}
	}
	// The kind of each, and twice of those that are not there; whose it is, of those that are JSON; whether the registry
	// knows requests, before each refusal.
	if n := r.asked.Load(); n != 4+2*2+2+5 || r.unchecked.Load() > 0 {
		t.Errorf("%d requests, %d ids unchecked", n, r.unchecked.Load())
	}
	if n := testing.AllocsPerRun(100, func() { r.refuse(t, 1) }); n > 0 {
		t.Errorf("%v allocations for an id that is known", n)
	}
}

// What a registry says that is no registry, or fails, refuses nothing, and is not asked again for a while.
func TestRegistryThatFails(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	secret := "hunter2"
	for name, registry := range map[string]http.HandlerFunc{
		"500":                 answer(500, `{"error_code":50001,"message":"`+secret+`"}`),
		"a proxy's 404":       answer(404, "<html>"+secret),
		"404 of another API":  answer(404, `{"error_code":404,"message":"HTTP 404 Not Found"}`),
		"401":                 answer(401, secret),
		"rubbish":             answer(200, "\x00"+secret),
		"nothing":             answer(200, ""),
		"an empty object":     answer(200, "{}"),
		"another object":      answer(200, `{"schema":7}`),
		"another kind":        answer(200, `{"schema":"x","schemaType":"XML"}`),
		"huge":                answer(200, `{"schema":"`+strings.Repeat("a", maxAnswer)+`"}`),
		"unknown to an empty": answer(404, `{"error_code":40403,"message":"Schema not found"}`),
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write([]byte(`{"schema":"`)); err == nil; {
				_, err = w.Write(bytes.Repeat([]byte(" "), 1<<16))
			}
		},
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"schema":"`))
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, registry)
			for range 10 {
				if got := r.refuse(t, 7); got != "" {
					t.Errorf("refused: %s", got)
				}
			}
			if n := r.asked.Load(); n > 3 {
				t.Errorf("asked %d times", n)
			}
			if n := r.unchecked.Load(); n != 10 {
				t.Errorf("%d of 10 are unchecked", n)
			}
			log := r.log.String()
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, "registry_away") || strings.Contains(log, secret) ||
				len(log) > 600 {
				t.Errorf("log: %s", log)
			}
		})
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// A registry that does not answer holds requests up once, for as long as a look-up may take, and no longer where the
// partition is asked back.
func TestSlowRegistry(t *testing.T) {
	hang, arrived := make(chan struct{}), make(chan struct{}, 2)
	r := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		arrived <- struct{}{}
		select {
		case <-hang:
		case <-req.Context().Done():
		}
	}))
	t.Cleanup(func() { close(hang) })
	given, back := context.WithCancel(t.Context())
	go func() {
		<-arrived
		back()
	}()
	if r.Refuse(given, 1) != nil || r.unchecked.Load() > 0 || !r.pause.IsZero() {
		t.Error("who gives a partition back waits, or blames the registry")
	}
	r.timeout = time.Second // the registry is asked by then, also on a busy machine
	var all sync.WaitGroup
	for id := range uint32(20) {
		all.Go(func() { r.Refuse(t.Context(), id) })
	}
	all.Wait()
	if n := r.asked.Load(); n != 2 || r.unchecked.Load() != 20 {
		t.Errorf("asked %d times; %d unchecked", n, r.unchecked.Load())
	}
}

// What one of several servers of a registry has not heard of yet, it is asked for again before anything is refused.
func TestRegistryThatLags(t *testing.T) {
	registry := fake(t)
	var first atomic.Bool
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if first.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error_code":40403,"message":"Schema 1 not found"}`))
			return
		}
		registry.ServeHTTP(w, req)
	}))
	if got := r.refuse(t, 1); got != "" {
		t.Error(got)
	}
}

// An id that is known stays what it was, whatever its registry says then; what may change is asked for again, and so is
// a registry that was away.
func TestVerdictsLast(t *testing.T) {
	registry := fake(t)
	var now atomic.Pointer[http.Handler]
	now.Store(&registry)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { (*now.Load()).ServeHTTP(w, req) }))
	for _, id := range []uint32{1, 2, 7} {
		r.refuse(t, id)
	}
	var turned http.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/subjects") {
			_, _ = w.Write([]byte(`["` + subject + `"]`))
			return
		}
		_, _ = w.Write([]byte(`{"schema":"{}","schemaType":"JSON"}`))
	})
	now.Store(&turned)
	before := r.asked.Load()
	if r.refuse(t, 1) != "" || r.refuse(t, 7) == "" || r.refuse(t, 2) == "" || r.asked.Load() != before {
		t.Error("a verdict has changed")
	}
	r.keep(2, verdict{&schemas.RequestError{}, time.Now()}) // its time is over
	if first, second := r.refuse(t, 2), r.refuse(t, 2); first != "" || second != "" || r.asked.Load() != before+2 {
		t.Errorf("what was refused was not asked for again, or too often: %d", r.asked.Load()-before)
	}
	away := http.NotFoundHandler()
	now.Store(&away)
	r.refuse(t, 10)
	now.Store(&turned)
	before = r.asked.Load()
	if r.refuse(t, 10); r.asked.Load() != before {
		t.Error("asked again at once")
	}
	r.pause = time.Time{}
	if r.refuse(t, 10) != "" || r.asked.Load() != before+2 || !strings.Contains(r.log.String(), "registry_back") {
		t.Errorf("not asked again: %s", r.log)
	}
}

// However many ids there are, they take a bounded room, and a bounded share of the time.
func TestManyIDs(t *testing.T) {
	r := newRig(t, fake(t))
	for id := range uint32(maxVerdicts + 100) {
		r.keep(id, verdict{until: time.Now().Add(time.Hour)})
	}
	r.keep(1, verdict{})
	for id := range uint32(maxVerdicts + 100) {
		r.keep(id+10, verdict{until: time.Now().Add(time.Hour)})
	}
	if n := len(*r.verdicts.Load()); n != maxVerdicts {
		t.Errorf("%d verdicts", n)
	}
	if v, known := r.known(1); !known || !v.until.IsZero() {
		t.Error("what is known for ever went before what is not")
	}
	began := time.Now()
	r.Checker.asked, r.waited = began, waitBurst+time.Second
	if !r.spent(began.Add(time.Second)) || r.refuse(t, 99_999) != "" || r.asked.Load() > 0 {
		t.Errorf("asked, with %v waited", r.waited)
	}
	if r.spent(began.Add(waitShare * 2 * time.Second)) {
		t.Errorf("not asked, with %v waited", r.waited)
	}
}
