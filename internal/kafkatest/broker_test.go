package kafkatest

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
)

func TestRestart(t *testing.T) {
	t.Parallel()
	b := New(t)
	if !b.CanRestart() {
		t.Fatal("a broker of our own cannot be restarted")
	}
	addrs := b.Brokers()
	topic := b.Topic(t, 2)
	b.Produce(t, topic, numbered(0, 10)...)
	b.ProduceTransaction(t, topic, numbered(10, 20), true)
	for i, kill := range []bool{true, false} {
		b.Restart(t, kill)
		if !slices.Equal(b.Brokers(), addrs) {
			t.Errorf("moved from %v to %v", addrs, b.Brokers())
		}
		from := 20 + 10*i
		b.Produce(t, topic, numbered(from, from+10)...)
		if got, want := values(b.ReadAll(t, topic)), values(numbered(0, from+10)); !slices.Equal(got, want) {
			t.Errorf("restart with kill=%v: got %v, want %v", kill, got, want)
		}
	}
	b.ProduceTransaction(t, topic, numbered(900, 905), false)
	if got := b.ReadAll(t, topic); len(got) != 40 {
		t.Errorf("got %d records", len(got))
	}
}

// portInUse is a server whose port somebody else has for the first tries.
type portInUse struct{ tries int }

func (s *portInUse) start(context.Context) error {
	if s.tries--; s.tries >= 0 {
		return fmt.Errorf("starting: %w", syscall.EADDRINUSE)
	}
	return nil
}

func (*portInUse) stop(context.Context, bool) error { return nil }
func (*portInUse) remove(context.Context) error     { return nil }

// The one that has taken the port while the broker was down is waited for.
func TestStartWaitsForItsPort(t *testing.T) {
	t.Parallel()
	taken := &portInUse{tries: 3}
	b := &Broker{addrs: Shared(t).Brokers(), serve: taken}
	b.Start(t)
	if taken.tries != -1 {
		t.Errorf("%d tries are left", taken.tries)
	}
}
