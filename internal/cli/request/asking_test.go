package request

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/client/clienttest"
	"github.com/balanceq/balanceq/internal/cli/answers"
	"github.com/balanceq/balanceq/schemas"
)

// What the contracts of these tests are answered with, and when.
const (
	complete = iota + 1
	partial
	dead
	never
	late // after an hour
)

func respond(r client.Request) clienttest.Answer {
	switch r.ContractID {
	case dead:
		return clienttest.Answer{Refused: schemas.ReasonContractNotFound}
	case never:
		return clienttest.Answer{Never: true}
	case late:
		time.Sleep(time.Hour) //nolint:forbidigo // virtual time
	case partial:
		return clienttest.Answer{}
	}
	return clienttest.Answer{Balances: []schemas.Balance{{Code: "A"}}}
}

// newTestAsking notes the ids of what it shows.
func newTestAsking(t *testing.T, size int64, timeout time.Duration) (a *asking, shown *[]string) {
	t.Helper()
	asks := clienttest.New(respond)
	shown = new([]string)
	a = newAsking(asks, size, timeout)
	a.stop = func(err error) { t.Error(err) }
	a.show = func(_ *answers.Answer, _ time.Duration, id string) error { *shown = append(*shown, id); return nil }
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		a.close(ctx)
	})
	return a, shown
}

func sendOne(t *testing.T, a *asking, id string, contract int64) {
	t.Helper()
	if err := send(t.Context(), a, id, contract); err != nil {
		t.Fatal(err)
	}
}

func send(ctx context.Context, a *asking, id string, contract int64) error {
	e, err := Draft{ContractID: strconv.FormatInt(contract, 10), Codes: []string{"A"}, id: id}.Entry("")
	if err != nil {
		return err
	}
	return a.send(ctx, &e)
}

func wantTally(t *testing.T, a *asking, want tally) {
	t.Helper()
	if got := a.counts(); got != want {
		t.Errorf("tally %+v, want %+v", got, want)
	}
}

func TestAskingCounts(t *testing.T) {
	a, shown := newTestAsking(t, 10, time.Minute)
	for contract, id := range map[int64]string{complete: "c", partial: "p", dead: "d"} {
		sendOne(t, a, id, contract)
	}
	a.wait()
	wantTally(t, a, tally{complete: 1, partial: 1, deadLettered: 1})
	if len(*shown) != 3 {
		t.Errorf("shown: %v", *shown)
	}
}

// Requests may have the same id: each has an answer.
func TestAskingSameID(t *testing.T) {
	a, shown := newTestAsking(t, 10, time.Minute)
	for range 3 {
		sendOne(t, a, "same", complete)
	}
	a.wait()
	wantTally(t, a, tally{complete: 3})
	if len(*shown) != 3 {
		t.Errorf("shown: %v", *shown)
	}
}

// A request is given up when its time is over, and an answer that comes then is not shown.
func TestAskingTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, shown := newTestAsking(t, 10, time.Second)
		sendOne(t, a, "late", late)
		began := time.Now()
		a.wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("given up after %v", took)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // virtual time
		wantTally(t, a, tally{unanswered: 1})
		if len(*shown) != 0 {
			t.Errorf("shown: %v", *shown)
		}
	})
}

// Publishing waits for room, and ends when room comes from requests that are given up only.
func TestAskingRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAsking(t, 2, 2*time.Hour)
		sendOne(t, a, "a", late)
		sendOne(t, a, "b", never)
		began := time.Now()
		sendOne(t, a, "c", never) // when a is answered
		if waited := time.Since(began); waited != time.Hour {
			t.Errorf("room after %v, want it with the first answer", waited)
		}
		if err := send(t.Context(), a, "d", complete); !errors.Is(err, errNoAnswers) {
			t.Errorf("error %v, want %v", err, errNoAnswers)
		}
		a.wait()
		wantTally(t, a, tally{complete: 1, unanswered: 2})
	})
}

// When all of it ends, requests without an answer are counted, and who waits for room learns why.
func TestAskingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAsking(t, 1, time.Hour)
		ctx, cancel := context.WithCancelCause(t.Context())
		if err := send(ctx, a, "a", never); err != nil {
			t.Fatal(err)
		}
		cause := errors.New("cause")
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if err := send(ctx, a, "b", never); !errors.Is(err, cause) {
			t.Errorf("error %v, want %v", err, cause)
		}
		a.wait()
		wantTally(t, a, tally{unanswered: 1})
	})
}

// An answer that cannot be shown ends all of it.
func TestAskingCannotShow(t *testing.T) {
	a, _ := newTestAsking(t, 10, time.Minute)
	broken := errors.New("broken pipe")
	stopped := make(chan error, 1)
	a.show = func(*answers.Answer, time.Duration, string) error { return broken }
	a.stop = func(err error) { stopped <- err }
	sendOne(t, a, "a", complete)
	if err := <-stopped; !errors.Is(err, broken) {
		t.Errorf("stopped by %v", err)
	}
	a.wait()
}
