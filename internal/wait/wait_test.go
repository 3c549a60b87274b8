package wait

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !Sleep(t.Context(), time.Hour) || time.Since(began) != time.Hour {
			t.Errorf("slept %v, want an hour", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if Sleep(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("slept %v with a context that ends after a minute", time.Since(began))
		}
	})
}

// late is a context that ends a moment after its deadline, as all do.
type late struct {
	context.Context
	deadline time.Time
}

func (l late) Deadline() (time.Time, bool) { return l.deadline, true }

func TestEnded(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		want error
	}{
		"no deadline":            {t.Context(), nil},
		"canceled":               {ended, context.Canceled},
		"canceled, and time":     {late{ended, time.Now().Add(time.Hour)}, context.Canceled},
		"time left":              {late{t.Context(), time.Now().Add(time.Hour)}, nil},
		"its time has just come": {late{t.Context(), time.Now()}, context.DeadlineExceeded},
	} {
		if got := Ended(test.ctx); !errors.Is(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestSignal(t *testing.T) {
	s := NewSignal()
	s.Set()
	s.Set() // does not block
	<-s
	select {
	case <-s:
		t.Error("received twice, set twice before the first receive")
	default:
	}
	s.Set()
	<-s
	Signal(nil).Set()
}

func TestReport(t *testing.T) {
	var reported []int
	for n := 1; n <= 40; n++ {
		if Report(n) {
			reported = append(reported, n)
		}
	}
	if want := []int{1, 2, 4, 8, 16, 32}; !slices.Equal(reported, want) {
		t.Errorf("reported %v, want %v", reported, want)
	}
}

func TestOver(t *testing.T) {
	done := make(chan struct{})
	if Over(done) || Over(nil) {
		t.Error("over before the end")
	}
	close(done)
	if !Over(done) {
		t.Error("not over at the end")
	}
}
