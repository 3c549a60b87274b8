package producer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

var epochIsOver = []*kerr.Error{kerr.InvalidProducerEpoch, kerr.ProducerFenced}

// wantRival checks what is said the fifth time: on one line, as people read the last one of a program that ends.
func wantRival(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, kafkawire.ErrSharedID) || !kafkawire.Fenced(err) {
		t.Fatalf("told %v", err)
	}
	if text := err.Error(); !strings.Contains(text, "give each an instance id, or an instance name") ||
		strings.Contains(text, "\n") {
		t.Errorf("told %q", text)
	}
}

// Partitions that are answered with an old epoch concern the whole transaction, also where others are refused for a
// reason of their own: nothing is held, and a rival is told.
func TestRivalsAreToldByPartitions(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.AddPartitionsToTxn} {
		for _, answer := range epochIsOver {
			t.Run(kmsg.NameForKey(int16(key))+" "+answer.Message, func(t *testing.T) {
				t.Parallel()
				cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
				b := onEmbedded(t, cluster, nil)
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: "deadletters", Partitions: []int32{1},
					Err: kerr.TopicAuthorizationFailed, Count: -1})
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: "deadletters", Partitions: []int32{0}, Err: answer,
					Count: -1})
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: "results", Err: answer, Count: -1})
				asked := b.everywhere(1, 5)
				for n := 1; n < maxFencings; n++ {
					if err := b.commit(asked); !kafkawire.Fenced(err) || errors.Is(err, kafkawire.ErrSharedID) ||
						len(b.committer.holds.list) != 0 ||
						!strings.Contains(err.Error(), "was fenced by another instance") || strings.Contains(err.Error(), "\n") {
						t.Fatalf("loss %d: told %v; %d are held", n, err, len(b.committer.holds.list))
					}
				}
				wantRival(t, b.commit(asked))
			})
		}
	}
}

// Who loses the id during its start takes it over again, as it would later; a rival is told here, too.
func TestFencedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, key := range []kmsg.Key{kmsg.AddOffsetsToTxn, kmsg.AddPartitionsToTxn, kmsg.EndTxn} {
		for _, answer := range epochIsOver {
			t.Run(kmsg.NameForKey(int16(key))+" "+answer.Message, func(t *testing.T) {
				t.Parallel()
				cluster := kafkatest.Embedded(t, append(transactionTopics, kfake.NumBrokers(1))...)
				b := onEmbedded(t, cluster, nil)
				steps(cluster, "CompleteCommit")
				fault := kfake.Fault{Keys: []kmsg.Key{key}, Err: answer, Count: 1}
				fenced := cluster.Fault(fault)
				next := b.again("a")
				if n := fenced.Hits(); n != 1 {
					t.Errorf("%d faults", n)
				}
				names := append([]string{"requests/0/0"}, next.write(0, 1, 5)...)
				next.mustCommit(map[int32]int64{0: 6})
				next.wantSeen(names)

				fault.Count = -1
				fenced = cluster.Fault(fault)
				_, err := NewTransactions(deadline(t), b.committer.cfg, b.outcomes, connect(t, b.brokers, b.outcomes.Topics()...),
					zerolog.Nop(), b.obs)
				wantRival(t, err)
				want := maxFencings
				if key == kmsg.EndTxn { // each try ends what the one before may have left open, and then all once more
					want += maxFencings - 1
				}
				if n := fenced.Hits(); n != want {
					t.Errorf("told after %d losses, want %d", n, want)
				}
			})
		}
	}
}

// Two live instances of one name take the transactional id from each other with every commit. One is told soon, and
// leaves it to the other from then on, also when it is asked to commit for the last time.
func TestRivalsAreTold(t *testing.T) {
	t.Parallel()
	one := onShared(t, "a")
	two := one.again("a")
	var names []string
	for next := int64(0); ; next++ {
		if next == 2*maxFencings+1 {
			t.Fatalf("not told after %d epochs", next)
		}
		b := []*rig{one, two}[next%2]
		name := b.write(0, next, 1)
		_, err := b.Commit(deadline(t), outsider(b.group), at(map[int32]int64{0: next + 1}))
		if errors.Is(err, kafkawire.ErrSharedID) {
			if !kafkawire.Fenced(err) || !strings.Contains(err.Error(), "give each an instance id") {
				t.Errorf("told %v", err)
			}
			other := []*rig{two, one}[next%2]
			for range 3 {
				if err := b.commit(map[int32]int64{0: next + 1}); !errors.Is(err, kafkawire.ErrSharedID) {
					t.Errorf("told once more: %v", err)
				}
				names = append(names, other.write(0, next, 1)...) // its new owner answers it
				next++
				other.mustCommit(map[int32]int64{0: next})
			}
			break
		}
		names = append(names, name...)
		if err != nil { // the one that was fenced begins an epoch with its next commit
			b.mustCommit(map[int32]int64{0: next + 1})
		}
	}
	one.wantSeen(names)
}

// Losses that lie far apart are successors, each of them.
func TestRivalryForgets(t *testing.T) {
	t.Parallel()
	var r fencings
	at := time.Now()
	for n := range 10 * maxFencings {
		at = at.Add(fencingsWithin/(maxFencings-1) + time.Second)
		if r.add(at) {
			t.Fatalf("loss %d: a successor is taken for a rival", n)
		}
	}
	at = at.Add(2 * fencingsWithin)
	for n := 1; n <= maxFencings; n++ {
		if told := r.add(at); told != (n == maxFencings) {
			t.Errorf("loss %d within a moment: told %v", n, told)
		}
	}
}
