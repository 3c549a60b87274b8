package request

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/balanceq/balanceq/internal/cli/answers"
)

// maxUnanswered bounds the memory of --wait: with so many unanswered requests, publishing pauses until answers come.
const maxUnanswered = 10_000

// errNoAnswers ends the publishing when no answers come.
var errNoAnswers = errors.New("no answers come: publishing was stopped; is balanceq running (balanceq doctor)?")

// tracker knows which requests have no answer yet.
type tracker struct {
	timeout time.Duration
	size    int64
	room    *semaphore.Weighted // one unit for each unanswered request

	mu      sync.Mutex
	byID    map[string][]*waiting // ids may repeat; answers count for the oldest request first
	overdue list.List             // of *waiting: acknowledged and unanswered, oldest first
	tally   tally
}

// tally counts what became of the requests.
type tally struct{ complete, partial, deadLettered, unanswered int64 }

func (t tally) answers() int64 { return t.complete + t.partial + t.deadLettered }

// waiting is a request without an answer.
type waiting struct {
	tracker  *tracker
	id       string
	sent     time.Time
	deadline time.Time     // zero until Kafka has acknowledged the request
	element  *list.Element // in tracker.overdue; nil: not there
	done     bool
	acked    func()
}

func newTracker(size int64, timeout time.Duration) *tracker {
	return &tracker{timeout: timeout, size: size, room: semaphore.NewWeighted(size), byID: map[string][]*waiting{}}
}

// expect is called before a request is sent, as its answer may come before its acknowledgement. It waits while too many
// are unanswered. acked is called when Kafka has acknowledged the request.
func (t *tracker) expect(ctx context.Context, id string, acked func()) (*waiting, error) {
	if !t.room.TryAcquire(1) {
		before := t.counts().answers()
		if err := t.room.Acquire(ctx, 1); err != nil {
			return nil, context.Cause(ctx)
		}
		// No answer while we waited: the room was made by requests that were given up.
		if t.counts().answers() == before {
			t.room.Release(1)
			return nil, errNoAnswers
		}
	}
	w := &waiting{tracker: t, id: id, sent: time.Now(), acked: acked}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byID[id] = append(t.byID[id], w)
	return w, nil
}

// Acknowledged starts the request's time-out.
func (w *waiting) Acknowledged() {
	w.acked()
	t := w.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.done {
		w.deadline = time.Now().Add(t.timeout)
		w.element = t.overdue.PushBack(w)
	}
}

// take finds the request that an answer belongs to; nil: it is not of this run, or it has had its answer. The caller
// shows the answer and then calls complete.
func (t *tracker) take(id string) *waiting {
	t.mu.Lock()
	defer t.mu.Unlock()
	ws := t.byID[id]
	if len(ws) == 0 {
		return nil
	}
	w := ws[0]
	t.remove(w)
	return w
}

// complete counts an answer that was taken and makes room for another request.
func (t *tracker) complete(a *answers.Answer) {
	t.mu.Lock()
	switch {
	case a.Result == nil:
		t.tally.deadLettered++
	case len(a.Result.MissingBalanceCodes) > 0:
		t.tally.partial++
	default:
		t.tally.complete++
	}
	t.mu.Unlock()
	t.room.Release(1) // after counting: expect looks at the count
}

// expire gives up the requests whose time is over.
func (t *tracker) expire(now time.Time) {
	t.mu.Lock()
	var n int64
	for front := t.overdue.Front(); front != nil; front = t.overdue.Front() {
		w, _ := front.Value.(*waiting)
		if now.Before(w.deadline) {
			break
		}
		t.remove(w)
		n++
	}
	t.tally.unanswered += n
	t.mu.Unlock()
	t.room.Release(n)
}

// cancel takes back what expect did, for a request that was not sent.
func (t *tracker) cancel(w *waiting) {
	t.mu.Lock()
	t.remove(w)
	t.mu.Unlock()
	t.room.Release(1)
}

// abandon counts what is still unanswered as such.
func (t *tracker) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ws := range t.byID {
		t.tally.unanswered += int64(len(ws))
	}
}

// remove requires mu.
func (t *tracker) remove(w *waiting) {
	w.done = true
	if w.element != nil {
		t.overdue.Remove(w.element)
		w.element = nil
	}
	ws := t.byID[w.id]
	for i := range ws {
		if ws[i] == w {
			ws = append(ws[:i], ws[i+1:]...)
			break
		}
	}
	if len(ws) == 0 {
		delete(t.byID, w.id)
	} else {
		t.byID[w.id] = ws
	}
}

// Wait returns when no request is unanswered any more: each has its answer or was given up.
func (t *tracker) Wait(ctx context.Context) error {
	if err := t.room.Acquire(ctx, t.size); err != nil {
		return context.Cause(ctx)
	}
	t.room.Release(t.size)
	return nil
}

func (t *tracker) counts() tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tally
}
