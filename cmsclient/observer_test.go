package cmsclient

import (
	"errors"
	"slices"
	"testing"
)

// While one goroutine tells the observer of event 1, another brings event 2: it must not overtake, and not get lost.
func TestEventsKeepTheirOrder(t *testing.T) {
	var e events
	var told []string
	begun, second := make(chan struct{}), make(chan struct{})
	e.post(func() {
		close(begun)
		<-second
		e.flush() // an observer that calls the client
		told = append(told, "one")
	})
	go func() {
		<-begun
		e.post(func() { told = append(told, "two") })
		e.flush()
		close(second)
	}()
	e.flush()
	if !slices.Equal(told, []string{"one", "two"}) {
		t.Errorf("told %v", told)
	}
}

// A panicking observer breaks one event, not the ones after it.
func TestEventsSurviveAPanic(t *testing.T) {
	var e events
	told := false
	e.post(func() { panic("observer") })
	e.post(func() { told = true })
	func() {
		defer func() { _ = recover() }()
		e.flush()
	}()
	e.flush()
	if !told {
		t.Error("the second event is lost")
	}
}

// haltLog hears of halts only.
type haltLog struct{ heard []string }

func (h *haltLog) Halted(err error) { h.heard = append(h.heard, err.Error()) }
func (h *haltLog) Resumed()         { h.heard = append(h.heard, "resumed") }

// An observer implements what it wants to hear of; one that would never be called is a mistake.
func TestObserversHearWhatTheyImplement(t *testing.T) {
	h, all := &haltLog{}, &recorder{}
	obs, err := newObservers([]Observer{h, nil, all})
	if err != nil {
		t.Fatal(err)
	}
	obs.called(Call2xx, 0)
	obs.breakerChanged(BreakerClosed, BreakerOpen, Failing{Cause: "status 503 (5)"})
	obs.halted(errors.New("no key"))
	obs.resumed()
	if !slices.Equal(h.heard, []string{"no key", "resumed"}) {
		t.Errorf("one heard %q", h.heard)
	}
	if all.count(Call2xx) != 1 || all.history() != "open halted resumed" {
		t.Errorf("the other heard %v, %s", all.calls, all.history())
	}
	if _, err := New(testConfig("https://host"), struct{}{}); err == nil {
		t.Error("an observer of nothing is accepted")
	}
}

func TestBreakerStateText(t *testing.T) {
	for _, want := range BreakerStates {
		text, err := want.MarshalText()
		got := BreakerState(-1)
		if err != nil || got.UnmarshalText(text) != nil || got != want {
			t.Errorf("%v became %v as %q, %v", want, got, text, err)
		}
	}
	var s BreakerState
	if s.UnmarshalText([]byte("ajar")) == nil {
		t.Error("an unknown state is accepted")
	}
}
