package producer

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// makeAgain deletes topics and makes ones of the same names.
func makeAgain(t *testing.T, brokers []string, partitions int, topics ...string) {
	t.Helper()
	wire := connect(t, brokers)
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 5, topics
	resp, err := wire.Any(deadline(t), del)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range resp.(*kmsg.DeleteTopicsResponse).Topics {
		if topic.ErrorCode != 0 {
			t.Fatalf("deleting: error code %d", topic.ErrorCode)
		}
	}
	for _, topic := range topics {
		if _, err := wire.CreateTopic(deadline(t), kafkawire.Topic{Name: topic, Partitions: partitions,
			ReplicationFactor: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

// A topic of outcomes that is made again while it is written takes what comes after, each once, whatever the sequence
// numbers of the former one were.
func TestTopicOfOutcomesMadeAgain(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(2, "topic"), kfake.NumBrokers(1))
	p, _ := start(t, cluster.ListenAddrs(), Config{Topics: []string{"topic"}})
	before, after := newAcks(), newAcks()
	for _, name := range sequence("before-", 100) {
		write(t, p, "topic", 0, name, before)
	}
	before.wait(t, 100)
	before.once(t, 100)
	makeAgain(t, cluster.ListenAddrs(), 2, "topic")
	for _, name := range sequence("after-", 100) {
		write(t, p, "topic", 0, name, after)
	}
	after.wait(t, 100)
	after.once(t, 100)
	wantLog(t, cluster.ListenAddrs(), "topic", map[int32][]string{0: sequence("after-", 100)})
}

// The same in transactions.
func TestTopicOfOutcomesMadeAgainInTransactions(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, append(slices.Clone(transactionTopics), kfake.NumBrokers(1))...)
	b := onEmbedded(t, cluster, nil)
	names := append([]string{"requests/0/0"}, b.write(0, 1, 20)...)
	b.mustCommit(map[int32]int64{0: 21})
	b.wantSeen(names)
	makeAgain(t, cluster.ListenAddrs(), 4, b.outcomes.Results, b.outcomes.DeadLetters)
	names = b.write(0, 21, 20)
	kafkatest.Eventually(t, within, "it is committed", func() bool { return b.commit(map[int32]int64{0: 41}) == nil })
	seen := b.outcomesSeen(true)
	for _, name := range names {
		if n := strings.Count(strings.Join(seen, " ")+" ", name+" "); n != 1 {
			t.Errorf("%s is seen %d times", name, n)
		}
	}
}
