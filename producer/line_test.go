package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kfake"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// step is one thing that happens to a buffer.
type step struct {
	kind string // write, cancel, acknowledge
	n    int    // size of the message; which of the writes that wait; how many are acknowledged
}

func drawSteps(t *rapid.T) []step {
	kinds := rapid.SampledFrom([]string{"write", "write", "cancel", "acknowledge"})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		s := step{kind: kinds.Draw(t, "kind"), n: rapid.IntRange(0, 5).Draw(t, "n")}
		if s.kind == "write" {
			s.n = rapid.SampledFrom([]int{0, 10, 60, 300, 500}).Draw(t, "size")
		}
		return s
	}), 1, 60).Draw(t, "steps")
}

// Whatever is written, acknowledged and cancelled: messages go in in the order in which they came, a message goes in as
// soon as there is room for it and for all before it, and the buffer's bound is exceeded by a single message only.
func TestBufferIsFirstComeFirstServed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawSteps(rt)
		var fault error
		synctest.Test(t, func(t *testing.T) { fault = simulateBuffer(t, steps) })
		if fault != nil {
			rt.Fatal(fault)
		}
	})
}

type written struct {
	name   string
	cancel context.CancelFunc
	done   chan error
}

// simulateBuffer writes to a producer without brokers; the test acknowledges.
func simulateBuffer(t *testing.T, steps []step) error {
	const limit = 400
	q := newQueue("topic", 0, 1)
	p := &Producer{cfg: Config{BufferBytes: limit},
		topics: map[string]*topic{"topic": {name: "topic", queues: []*queue{q}}}}
	p.empty.L = &p.mu
	var waiting []written
	var want []string // in the order in which they should go in
	var sizes []int
	defer func() {
		for _, w := range waiting {
			w.cancel()
		}
		synctest.Wait()
	}()
	for i, s := range steps {
		switch {
		case s.kind == "write":
			ctx, cancel := context.WithCancel(t.Context())
			w := written{fmt.Sprint(i), cancel, make(chan error, 1)}
			m := schemas.Message{Key: []byte(w.name), Value: make([]byte, s.n)}
			go func() { w.done <- p.Write(ctx, "topic", 0, m, ackFunc(func() {})) }()
			waiting = append(waiting, w)
		case s.kind == "cancel" && s.n < len(waiting):
			waiting[s.n].cancel()
			synctest.Wait()
			if err := <-waiting[s.n].done; !errors.Is(err, context.Canceled) {
				return fmt.Errorf("step %d: cancelled, a write ends with %w", i, err)
			}
			waiting = slices.Delete(waiting, s.n, s.n+1)
		case s.kind == "acknowledge":
			p.mu.Lock()
			for range min(s.n, len(sizes)) {
				p.buffered -= sizes[0]
				sizes = sizes[1:]
				p.advance()
			}
			p.mu.Unlock()
		}
		synctest.Wait()
		for len(waiting) > 0 && len(waiting[0].done) == 1 {
			if err := <-waiting[0].done; err != nil {
				return err
			}
			want = append(want, waiting[0].name)
			sizes = append(sizes, q.pending[len(want)-1].size)
			waiting = waiting[1:]
		}
		if err := checkBuffer(p, q, limit, want, sizes, waiting); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func checkBuffer(p *Producer, q *queue, limit int, want []string, sizes []int, waiting []written) error {
	var got []string
	for _, e := range q.pending {
		got = append(got, string(e.message.Key))
	}
	total := 0
	for _, n := range sizes {
		total += n
	}
	switch {
	case !slices.Equal(got, want):
		return fmt.Errorf("in went %v, want %v", got, want)
	case p.buffered != total || total > limit && len(sizes) > 1:
		return fmt.Errorf("%d bytes of %v, counted %d", total, sizes, p.buffered)
	case len(p.waiting.waiting) != len(waiting):
		return fmt.Errorf("%d wait, want %d", len(p.waiting.waiting), len(waiting))
	case len(waiting) > 0 && p.room(p.waiting.waiting[0].item):
		return errors.New("the first one waits although there is room")
	}
	return nil
}

// A large message that waits is not overtaken by small ones for which there is room; those go on when it gives up.
func TestLargeMessageIsNotOvertaken(t *testing.T) {
	t.Parallel()
	for _, givesUp := range []bool{false, true} {
		t.Run(fmt.Sprint("gives up ", givesUp), func(t *testing.T) {
			cluster, held, release := holding(t, allNodes, kfake.SeedTopics(1, "topic"))
			p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BufferBytes: 1000})
			a := newAcks()
			first, large, small := strings.Repeat("f", 600), strings.Repeat("l", 700), strings.Repeat("s", 10)
			write(t, p, "topic", 0, first, a)
			kafkatest.Eventually(t, within, "it is under way", func() bool { return held() > 0 })
			later := func(ctx context.Context, value string) chan error {
				t.Helper()
				done := make(chan error, 1)
				before := waitingIn(p)
				go func() { done <- p.Write(ctx, "topic", 0, schemas.Message{Value: []byte(value)}, a.of(value)) }()
				kafkatest.Eventually(t, within, "it waits", func() bool { return waitingIn(p) > before || len(done) > 0 })
				return done
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			one, two := later(ctx, large), later(t.Context(), small)
			if len(one) > 0 || len(two) > 0 {
				t.Fatal("a message got in before one that came first, or without room")
			}
			want := []string{first, large, small}
			if givesUp {
				cancel()
				want = []string{first, small}
				if err := <-one; !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				if err := <-two; err != nil { // nothing was acknowledged meanwhile
					t.Errorf("the one behind it: %v", err)
				}
			}
			release()
			a.wait(t, len(want))
			wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: want})
		})
	}
}

func waitingIn(p *Producer) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting.waiting)
}
