package producer

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// What waits for an operator takes no room in the buffer: however much of it is written, the other partitions' messages
// go through, and when it is cured all of it is written, in order.
func TestHeldPartitionTakesNoRoom(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "topic"))
	refusal := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "topic", Partitions: []int32{0}, Count: 1,
		Err: kerr.TopicAuthorizationFailed})
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}, BufferBytes: 200})
	held, others := newAcks(), newAcks()
	began := time.Now()
	write(t, p, "topic", 0, "first", held)
	kafkatest.Eventually(t, within, "it is held", func() bool { return refusal.Hits() == 1 && p.Status().Failing != nil })
	want := map[int32][]string{0: {"first"}}
	const n = 20 // several times the buffer
	for i := range n {
		held0, free1 := fmt.Sprintf("held %d", i), fmt.Sprintf("free %d", i)
		write(t, p, "topic", 0, held0, held)
		write(t, p, "topic", 1, free1, others)
		want[0], want[1] = append(want[0], held0), append(want[1], free1)
	}
	others.wait(t, n)
	if held.tooEarly(began) {
		t.Error("what is held is acknowledged")
	}
	held.wait(t, 1+n) // it is tried again after operatorBackoff
	wantLog(t, cluster.ListenAddrs(), "topic", want)
	awaitIdle(t, p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.buffered != 0 || p.held != 0 {
		t.Errorf("%d bytes are buffered in the end, %d held", p.buffered, p.held)
	}
}
