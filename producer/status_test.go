package producer

import (
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// The status names the partition from which nothing is heard, for as long as nothing is.
func TestStatusTellsOfSilence(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(2), kfake.SeedTopics(2, "topic"))
	for p := range int32(2) {
		if err := cluster.MoveTopicPartition("topic", p, p); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	if s := p.Status(); !s.Oldest.IsZero() || s.Silent != (Silence{}) {
		t.Errorf("before anything is written: %+v", s)
	}
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	before := time.Now()
	a := newAcks()
	if err := p.Write(deadline(t), "topic", 1, schemas.Message{Value: []byte("hangs")},
		ackFunc(func() { <-hold })); err != nil {
		t.Fatal(err)
	}
	first := p.Status()
	if first.Oldest.Before(before) || first.Silent.Topic != "topic" || first.Silent.Partition != 1 ||
		!first.Silent.Since.Equal(first.Oldest) {
		t.Errorf("%+v", first)
	}
	for _, name := range sequence("", 20) {
		write(t, p, "topic", 0, name, a)
	}
	a.wait(t, 20)
	kafkatest.Eventually(t, within, "only the one that hangs is left",
		func() bool { return p.Status().Silent == first.Silent })
	release()
	kafkatest.Eventually(t, within, "nothing waits", func() bool {
		s := p.Status()
		return s.Oldest.IsZero() && s.Silent == (Silence{})
	})
}

// A refusal is something to be heard: what is refused is old, but no partition is silent.
func TestRefusedIsNotSilent(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(1, "topic"))
	faults := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	p, obs := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	a := newAcks()
	write(t, p, "topic", 0, "refused", a)
	oldest := p.Status().Oldest
	for refusals := range 4 {
		kafkatest.Eventually(t, within, "it is refused again", func() bool { return len(obs.seen()) > refusals })
		if s := p.Status(); !s.Oldest.Equal(oldest) || !s.Silent.Since.After(oldest) {
			t.Errorf("%d refusals after %v: %+v", refusals+1, oldest, s)
		}
	}
	faults.Remove()
	a.wait(t, 1)
	kafkatest.Eventually(t, within, "nothing waits", func() bool { return p.Status().Oldest.IsZero() })
}
