package producer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"balanceq/kafkawire"
)

// Two live instances of one name take the transactional id from each other with every commit. One is told soon, and leaves
// it to the other from then on, also when it is asked to commit for the last time.
func TestRivalsAreTold(t *testing.T) {
	one := onShared(t, "a")
	two := one.again("a")
	var names []string
	for next := int64(0); ; next++ {
		if next == 2*rivalTakeovers+1 {
			t.Fatalf("not told after %d takeovers", next)
		}
		b := []*books{one, two}[next%2]
		name := b.write(0, next, 1)
		_, err := b.Commit(deadline(t), nobody(b.group), at(map[int32]int64{0: next + 1}))
		if errors.Is(err, kafkawire.ErrRival) {
			if !kafkawire.Fenced(err) || !strings.Contains(err.Error(), "set kafka.instance-id") {
				t.Errorf("told %v", err)
			}
			other := []*books{two, one}[next%2]
			for range 3 {
				if err := b.commit(map[int32]int64{0: next + 1}); !errors.Is(err, kafkawire.ErrRival) {
					t.Errorf("told once more: %v", err)
				}
				names = append(names, other.write(0, next, 1)...) // its new owner answers it
				next++
				other.mustCommit(map[int32]int64{0: next})
			}
			break
		}
		names = append(names, name...)
		if err != nil { // whoever was fenced takes over with its next commit
			b.mustCommit(map[int32]int64{0: next + 1})
		}
	}
	one.wantSeen(names)
}

// Losses that lie far apart are successors, each of them.
func TestRivalryForgets(t *testing.T) {
	var r rivalry
	at := time.Now()
	for n := range 10 * rivalTakeovers {
		at = at.Add(rivalTime/(rivalTakeovers-1) + time.Second)
		if r.lost(at) {
			t.Fatalf("loss %d: a successor is taken for a rival", n)
		}
	}
	at = at.Add(2 * rivalTime)
	for n := 1; n <= rivalTakeovers; n++ {
		if told := r.lost(at); told != (n == rivalTakeovers) {
			t.Errorf("loss %d within a moment: told %v", n, told)
		}
	}
}
