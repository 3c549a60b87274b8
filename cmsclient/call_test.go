package cmsclient

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// A call can be given up between its steps: its permit ends, and the connection that its answer would come on is no
// other call's. After the last step there is nothing to give up: the connection may be another call's by then.
func TestReleaseBetweenTheSteps(t *testing.T) {
	for steps, opens := range []int32{1, 2, 2, 1} {
		server, count := serveTLS(t, nil, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodBody) })
		client := newTestClient(t, trusting(server), nil)
		call, err := client.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ends := 0
		asked := query(1)
		asked.Attempt = func() (string, func(int, string)) { return "", func(int, string) { ends++ } }
		if steps > 0 {
			call.Prepare(t.Context(), asked)
		}
		if steps > 1 {
			call.Wait()
		}
		if steps > 2 {
			if _, err := call.Answer(t.Context()); err != nil {
				t.Error(err)
			}
		}
		call.Release()
		if n := client.Status().InFlight; n != 0 || ends != min(1, steps) {
			t.Errorf("after %d steps: %d calls in flight, an attempt that ended %d times", steps, n, ends)
		}
		if _, err := ask(t.Context(), client, 2); err != nil {
			t.Error(err)
		}
		if n := count.opened.Load(); n != opens {
			t.Errorf("after %d steps: %d connections, want %d", steps, n, opens)
		}
		eventually(t, "what was given up is closed", func() bool { return count.open.Load() == 1 })
	}
}

// A caller that leaves a step out learns of it; nothing is sent.
func TestAnswerOfNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		call, err := c.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		call.Wait()
		if _, err := call.Answer(t.Context()); err == nil {
			t.Error("answered")
		}
		call.Release()
		call.Prepare(t.Context(), query(1))
		if _, err := call.Answer(t.Context()); err == nil {
			t.Error("answered after its end")
		}
		if calls, _ := cms.seen(); len(calls) != 0 || c.Status().InFlight != 0 {
			t.Errorf("%d calls", len(calls))
		}
	})
}

// A hedged call that is given up leaves no attempt behind.
func TestReleaseOfAHedgedCall(t *testing.T) {
	inBubbleWith(t, hedging, func(t *testing.T, c *Client, cms *fakeCMS, _ *recorder) {
		cms.delay = func(int) time.Duration { return time.Second }
		call, err := c.Admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		call.Prepare(t.Context(), query(1))
		call.Release()
		if n := c.Status().InFlight; n != 0 || time.Since(start) != 0 {
			t.Errorf("%d in flight after %v", n, time.Since(start))
		}
	})
}
