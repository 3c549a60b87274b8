package producer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

func TestCloseFlushes(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(2, "topic"))
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BatchBytes: 200})
	a := newAcks()
	for i, name := range sequence("", 500) {
		write(t, p, "topic", int32(i%2), name, a)
	}
	if err := p.Close(deadline(t)); err != nil {
		t.Fatalf("closing: %v", err)
	}
	a.once(t, 500) // at once: Close has waited for them
	if err := p.Write(t.Context(), "topic", 0, schemas.Message{}, a.of("late")); !errors.Is(err, errClosed) {
		t.Errorf("writing after Close: error %v", err)
	}
	if err := p.Close(deadline(t)); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// A broker that hangs must not hold the end of the process up, and nothing may be acknowledged that is not in the log.
func TestCloseGivesUp(t *testing.T) {
	cluster, held, release := holding(t, allNodes, kfake.SeedTopics(2, "topic"))
	wire := connect(t, cluster.ListenAddrs(), "topic")
	p, err := New(deadline(t), Config{Topics: []string{"topic"}, BufferBytes: 100}, wire, zerolog.Nop(), &observer{})
	if err != nil {
		t.Fatal(err)
	}
	a := newAcks()
	write(t, p, "topic", 0, strings.Repeat("x", 60), a)
	kafkatest.Eventually(t, within, "a request is under way", func() bool { return held() > 0 })
	stuck := make(chan error, 1)
	go func() {
		stuck <- p.Write(context.Background(), "topic", 1, schemas.Message{Value: make([]byte, 60)}, a.of("y"))
	}()
	if !blocked(stuck) {
		t.Fatal("Write went on with a full buffer")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ended); err == nil || !strings.Contains(err.Error(), "not acknowledged") {
		t.Errorf("closing: error %v", err)
	}
	if err := <-stuck; !errors.Is(err, errClosed) {
		t.Errorf("a Write that was blocked: error %v", err)
	}
	again := make(chan error, 1)
	go func() { again <- p.Close(context.Background()) }()
	select {
	case err := <-again:
		if err == nil {
			t.Error("closing again: no error, though messages were dropped")
		}
	case <-time.After(within):
		t.Fatal("closing again waits for what is not sent any more")
	}
	wire.Close()
	kafkatest.Eventually(t, within, "nothing is left running, though the broker hangs",
		func() bool { return goroutines() == 0 })
	release()
	if n := a.total.Load(); n != 0 {
		t.Errorf("%d acknowledgements", n)
	}
}

func TestCloseWhileRepeating(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: errNotEnoughReplicas, Count: -1})
	a := newAcks()
	write(t, p, "topic", 0, "x", a)
	kafkatest.Eventually(t, within, "writes fail", func() bool { return len(obs.seen()) > 3 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err == nil {
		t.Error("no error, though the message is not written")
	}
	n := len(obs.seen())
	if status := p.Status(); status.Failing == nil || a.total.Load() != 0 {
		t.Errorf("status %+v, %d acknowledgements", status, a.total.Load())
	}
	if blocked(make(chan error)); len(obs.seen()) != n {
		t.Error("it goes on after Close")
	}
}
