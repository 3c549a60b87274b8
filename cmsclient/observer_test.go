package cmsclient

import (
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
