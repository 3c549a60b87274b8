package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/wait"
)

// newTicket is one that a client without a link made.
func newTicket(c *Client, id, key string) *Ticket {
	return &Ticket{client: c, id: id, key: key, keyed: key != "", done: make(chan struct{})}
}

func newUnlinked(size int) *Client {
	return &Client{cfg: Config{}.withDefaults(), waiters: newWaiters(size)}
}

// Whatever is added, taken, waited for and given up, in whatever order: an answer goes to the oldest request with its
// id, exactly the tickets without an answer take room, and their keys are wanted.
func TestWaitersProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 6
		c := newUnlinked(size)
		w := c.waiters
		var there, idle []*Ticket // in the order of their coming
		drop := func(list []*Ticket, gone *Ticket) []*Ticket {
			var rest []*Ticket
			for _, one := range list {
				if one != gone {
					rest = append(rest, one)
				}
			}
			return rest
		}
		removed := func(one *Ticket) { there, idle = drop(there, one), drop(idle, one) }
		ids, keys := rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{"", "1", "2"})
		draw := func(t *rapid.T) *Ticket {
			if len(there) == 0 {
				t.Skip("there is none")
			}
			return rapid.SampledFrom(there).Draw(t, "ticket")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				one := newTicket(c, ids.Draw(t, "id"), keys.Draw(t, "key"))
				full, err := context.WithCancel(context.Background())
				if len(there) == size && len(idle) == 0 {
					err() // it would wait for ever
				}
				defer err()
				evicted := len(there) == size && len(idle) > 0
				switch got := w.add(full, one); {
				case len(there) == size && !evicted:
					if !errors.Is(got, context.Canceled) {
						t.Fatalf("added to a full room: %v", got)
					}
					return
				case got != nil:
					t.Fatal(got)
				}
				if evicted {
					if unknown, ok := errors.AsType[*UnknownError](idle[0].err); !ok || !errors.Is(unknown, ErrForgotten) {
						t.Fatalf("the ticket that was idle for longest: %v", idle[0].err)
					}
					removed(idle[0])
				}
				there = append(there, one)
			},
			"take": func(t *rapid.T) {
				id := ids.Draw(t, "id")
				var want *Ticket
				for _, one := range there {
					if one.id == id {
						want = one
						break
					}
				}
				if got := w.take(id); got != want {
					t.Fatalf("took %p for %s, want %p", got, id, want)
				}
				removed(want)
			},
			"wait in vain": func(t *rapid.T) {
				one := draw(t)
				w.begin(one)
				w.end(one)
				idle = append(drop(idle, one), one)
			},
			"forget": func(t *rapid.T) {
				one := draw(t)
				if !w.forget(one) || w.forget(one) {
					t.Fatal("not given up once")
				}
				removed(one)
			},
			"": func(t *rapid.T) {
				wanted := map[string]bool{}
				keyless := false
				for _, one := range there {
					wanted[one.key] = true
					keyless = keyless || !one.keyed
				}
				for _, key := range []string{"1", "2", "3"} {
					if got := w.wanted([]byte(key)); got != (wanted[key] || keyless) {
						t.Fatalf("key %s wanted: %t", key, got)
					}
				}
				if w.count != len(there) || len(w.room) != len(there) || w.idle.Len() != len(idle) {
					t.Fatalf("%d there, %d places taken, %d idle; want %d, %d idle", w.count, len(w.room), w.idle.Len(),
						len(there), len(idle))
				}
			},
		})
		w.close()
		if drained := wait.Over(w.drained); drained != (len(there) == len(idle)) {
			t.Fatalf("drained %t with %d, %d of them idle", drained, len(there), len(idle))
		}
		if err := w.add(context.Background(), newTicket(c, "late", "")); !errors.Is(err, ErrClosed) {
			t.Fatalf("added after the end: %v", err)
		}
		if rest := w.rest(); len(rest) != len(there) || w.count != 0 || len(w.keys) != 0 || len(w.byID) != 0 {
			t.Fatalf("%d were left, want %d", len(rest), len(there))
		}
	})
}

// Who waits for room gets it from an answer, from a ticket that becomes idle, and learns of the end.
func TestWaitersRoom(t *testing.T) {
	for name, give := range map[string]func(w *waiters, one *Ticket){
		"answer": func(w *waiters, one *Ticket) { w.take(one.id) },
		"idle":   func(w *waiters, one *Ticket) { w.begin(one); w.end(one) },
		"close":  func(w *waiters, _ *Ticket) { w.close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newUnlinked(1)
				first := newTicket(c, "first", "1")
				if err := c.waiters.add(t.Context(), first); err != nil {
					t.Fatal(err)
				}
				added := make(chan error, 1)
				go func() { added <- c.waiters.add(t.Context(), newTicket(c, "second", "1")) }()
				synctest.Wait()
				if len(added) > 0 {
					t.Fatalf("added to a full room: %v", <-added)
				}
				give(c.waiters, first)
				if err := <-added; (err != nil) != (name == "close") {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// Closing and adding at once: what was added is among the rest or was drained, never lost.
func TestWaitersCloseRace(t *testing.T) {
	c := newUnlinked(1000)
	added := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for i := 0; ; i++ {
				if c.waiters.add(context.Background(), newTicket(c, fmt.Sprint(i), "k")) != nil {
					added <- n
					return
				}
				n++
			}
		}()
	}
	c.waiters.close()
	sum := 0
	for range 4 {
		sum += <-added
	}
	if rest := c.waiters.rest(); len(rest) != sum {
		t.Errorf("%d were added, %d left", sum, len(rest))
	}
}
