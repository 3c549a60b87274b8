package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/processor"
	"github.com/balanceq/balanceq/schemas"
)

// Handlers that sit on dead letters for a day are no standstill, though the room for those is full and nothing is read,
// nor is it one when they go on.
func TestPauseIsNoStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{
			consumer: consumer.Status{Joined: true, WorkerFree: true, Partitions: []consumer.PartitionStatus{
				{Partition: 2, Next: 5, Committed: 5, Open: 2, Oldest: 5, Fetched: 9, Moved: time.Now()},
			}},
			cms: cmsclient.Status{}, budget: paused(2), there: map[int32]bool{2: true},
		}
		w, _, _ := watch(t, f, StallTimeouts{After: time.Minute, Retry: time.Minute})
		for contract := range int64(2) {
			held := f.handlers.Begin(contract)
			held.Took([]*inflight.Request{{Record: schemas.Record{Position: schemas.Position{Partition: 2,
				Offset: 5 + contract}}}})
			held.Step(processor.StepAside)
		}
		for range 24 * 60 {
			<-time.After(time.Minute)
			w.askKafka(t.Context())
			if v := w.State(); v.Stuck != nil || v.Waiting != processor.CauseBudget {
				t.Fatalf("%+v", v)
			}
		}
		f.budget = processor.BudgetStatus{} // resumed: they come out of it one after the other
		for _, held := range f.handlers.all {
			<-time.After(5 * time.Second)
			if v := w.State(); v.Stuck != nil {
				t.Fatalf("%+v", v)
			}
			held.Step(processor.StepCompleting)
			held.End()
		}
	})
}

// Nothing is fetched while the CMS keeps everybody waiting, so Kafka is not asked what it has.
func TestAsksKafkaNothingWhileNothingIsRead(t *testing.T) {
	f := &fakes{cms: cmsclient.Status{Cause: cmsclient.CauseBreaker}, consumer: consumer.Status{Joined: true,
		Partitions: []consumer.PartitionStatus{{Fetched: 1, Room: true}}}}
	w, _, _ := watch(t, f, StallTimeouts{After: time.Minute})
	w.sources.AskKafka = func(context.Context, bool, map[int32]int64) (map[int32]bool, error) {
		t.Error("asked")
		return nil, errors.New("asked")
	}
	for range 3 {
		w.askKafka(t.Context())
	}
}

func TestBudgetMetrics(t *testing.T) {
	_, _, get := serve(t, &fakes{budget: paused(7)})
	_, text := get("/metrics")
	for _, line := range []string{
		`balanceq_dead_letter_budget_paused 1`, `balanceq_dead_letter_budget_spent_total 2`, `balanceq_dead_letter_ratio 0.75`,
		`balanceq_waiting{cause="dead-letter-budget"} 7`, `balanceq_waiting{cause="breaker"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	_, _, get = serve(t, &fakes{})
	if _, text := get("/metrics"); !strings.Contains(text, "balanceq_dead_letter_budget_paused 0\n") ||
		!strings.Contains(text, `balanceq_waiting{cause="dead-letter-budget"} 0`) {
		t.Error("what is not spent is not exported as such")
	}
}

// An operator with a name can resume. No web page can.
func TestResume(t *testing.T) {
	f := &fakes{budget: paused(1)}
	handler := Admin{Hosts: Hosts{Names: []string{"example.com"}}, Resume: f.resume}.Handler()
	tests := map[string]struct {
		headers map[string]string
		status  int
	}{
		"an operator":           {map[string]string{OperatorHeader: "ann@desk"}, 200},
		"no name":               {nil, 403},
		"an empty name":         {map[string]string{OperatorHeader: ""}, 403},
		"a line end":            {map[string]string{OperatorHeader: "ann\nlevel=error"}, 403},
		"an escape sequence":    {map[string]string{OperatorHeader: "ann\x1b[2J"}, 403},
		"not ASCII":             {map[string]string{OperatorHeader: "änn"}, 403},
		"a long name":           {map[string]string{OperatorHeader: strings.Repeat("a", 129)}, 403},
		"another site":          {map[string]string{OperatorHeader: "ann", "Origin": "https://evil.example"}, 403},
		"no site":               {map[string]string{OperatorHeader: "ann", "Origin": "null"}, 403},
		"a form elsewhere":      {map[string]string{OperatorHeader: "ann", "Sec-Fetch-Site": "cross-site"}, 403},
		"a page without a name": {map[string]string{"Origin": "http://example.com", "Sec-Fetch-Site": "same-origin"}, 403},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f.resumers = nil
			r := httptest.NewRequest(http.MethodPost, "http://example.com/resume", nil)
			for header, value := range test.headers {
				r.Header.Set(header, value)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.status || (len(f.resumers) == 1) != (test.status == 200) {
				t.Errorf("%d, resumed by %v: %s", w.Code, f.resumers, w.Body)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("it grants other sites something")
			}
		})
	}
}

// The methods, over the wire: only POST resumes, and a preflight is granted nothing.
func TestResumeMethods(t *testing.T) {
	f := &fakes{budget: paused(1)}
	serve(t, f)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	ask := func(method string) (int, http.Header, Resumption) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+f.admin+"/resume", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(OperatorHeader, "ann")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer Resumption
		if resp.StatusCode == http.StatusOK {
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Errorf("%v in %s", err, body)
			}
		}
		return resp.StatusCode, resp.Header, answer
	}
	for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodHead, http.MethodPut,
		http.MethodDelete} {
		if code, header, _ := ask(method); code != http.StatusMethodNotAllowed ||
			header.Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("%s: %d %v", method, code, header)
		}
	}
	if len(f.resumers) != 0 {
		t.Errorf("resumed by %v", f.resumers)
	}
	if code, _, answer := ask(http.MethodPost); code != 200 ||
		answer != (Resumption{Instance: "i", Resumed: true, Was: "too many"}) ||
		!slices.Equal(f.resumers, []string{"ann"}) {
		t.Errorf("POST: %d %+v, by %v", code, answer, f.resumers)
	}
}
