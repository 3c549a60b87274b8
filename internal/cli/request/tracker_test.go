package request

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/schemas"
)

var (
	completeAnswer = &answers.Answer{Result: &schemas.Result{}}
	partialAnswer  = &answers.Answer{Result: &schemas.Result{MissingBalanceCodes: []string{"A"}}}
	deadAnswer     = &answers.Answer{}
)

// expectOne is a request that was sent.
func expectOne(t *testing.T, tr *tracker, id string) *waiting {
	t.Helper()
	w, err := tr.expect(t.Context(), id, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func wantTally(t *testing.T, tr *tracker, want tally) {
	t.Helper()
	if got := tr.counts(); got != want {
		t.Errorf("tally %+v, want %+v", got, want)
	}
}

func TestTrackerCounts(t *testing.T) {
	tr := newTracker(10, time.Minute)
	for id, a := range map[string]*answers.Answer{"c": completeAnswer, "p": partialAnswer, "d": deadAnswer} {
		expectOne(t, tr, id).Acknowledged()
		if tr.take(id) == nil {
			t.Fatalf("the answer to %s was taken for another's", id)
		}
		tr.complete(a)
		if tr.take(id) != nil {
			t.Errorf("a second answer to %s was taken for its first", id)
		}
	}
	if tr.take("foreign") != nil {
		t.Error("a foreign answer was taken")
	}
	wantTally(t, tr, tally{complete: 1, partial: 1, deadLettered: 1})
	if err := tr.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// The answer can be read before the acknowledgement of the request comes: then nothing is left that could expire.
func TestTrackerAnswerBeforeAcknowledgement(t *testing.T) {
	tr := newTracker(10, time.Minute)
	w := expectOne(t, tr, "a")
	tr.take("a")
	tr.complete(completeAnswer)
	w.Acknowledged()
	tr.expire(time.Now().Add(time.Hour))
	wantTally(t, tr, tally{complete: 1})
}

func TestTrackerSameID(t *testing.T) {
	tr := newTracker(10, time.Minute)
	first, second := expectOne(t, tr, "a"), expectOne(t, tr, "a")
	for _, want := range []*waiting{first, second, nil} {
		if got := tr.take("a"); got != want {
			t.Errorf("took %p, want %p", got, want)
		}
	}
}

func TestTrackerExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracker(10, time.Second)
		expectOne(t, tr, "early").Acknowledged()
		time.Sleep(600 * time.Millisecond) //nolint:forbidigo // virtual time
		expectOne(t, tr, "late").Acknowledged()
		expectOne(t, tr, "never sent")
		tr.expire(time.Now())
		wantTally(t, tr, tally{})
		time.Sleep(600 * time.Millisecond) //nolint:forbidigo // virtual time
		tr.expire(time.Now())
		wantTally(t, tr, tally{unanswered: 1})
		if tr.take("early") != nil {
			t.Error("an answer that came too late was counted")
		}
		tr.abandon()
		wantTally(t, tr, tally{unanswered: 3})
	})
}

// Publishing waits for room, and ends when room comes from time-outs only.
func TestTrackerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracker(2, time.Second)
		expectOne(t, tr, "a").Acknowledged()
		expectOne(t, tr, "b").Acknowledged()
		var err error
		returned := false
		next := func() {
			returned = false
			go func() {
				_, err = tr.expect(t.Context(), "next", func() {})
				returned = true
			}()
			synctest.Wait()
		}
		next()
		if returned {
			t.Fatal("there was no room, but expect did not wait")
		}
		tr.take("a")
		tr.complete(completeAnswer)
		synctest.Wait()
		if !returned || err != nil {
			t.Fatalf("returned %v, error %v, want room after an answer", returned, err)
		}
		next()
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		tr.expire(time.Now())
		synctest.Wait()
		if !returned || !errors.Is(err, errNoAnswers) {
			t.Fatalf("returned %v, error %v, want %v", returned, err, errNoAnswers)
		}
	})
}

func TestTrackerWaitEndsWithContext(t *testing.T) {
	tr := newTracker(2, time.Second)
	w := expectOne(t, tr, "a")
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cause")
	cancel(cause)
	if err := tr.Wait(ctx); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	tr.cancel(w)
	if err := tr.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
