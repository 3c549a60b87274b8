package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// rig is what one test has for itself: three topics, a group and a CMS. It remembers every request that was sent.
type rig struct {
	t           *testing.T
	broker      *kafkatest.Broker
	sim         *cmssim.Simulator
	cmsURL      string
	group       string
	requests    string
	results     string
	deadletters string
	replays     string
	sent        []kafka.Message
	instances   atomic.Int32 // commands for it may be made in parallel

	mu      sync.Mutex
	started []*instance
}

// The settings that `topics create` gives the topics.
const (
	requestsMax = "max.message.bytes=1114112" // a request of 1 MiB with 64 KiB of key and headers
	outcomesMax = "max.message.bytes=1179648" // 64 KiB more, for what results and dead letters add
)

// newRig makes a rig on the shared broker.
func newRig(t *testing.T, partitions int, sim cmssim.Config) *rig {
	t.Helper()
	return newRigOn(t, kafkatest.Shared(t), partitions, sim)
}

func newRigOn(t *testing.T, broker *kafkatest.Broker, partitions int, sim cmssim.Config) *rig {
	t.Helper()
	server, err := cmssim.Listen("127.0.0.1:0", sim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, broker: broker, sim: server.Simulator(), cmsURL: server.URL()}
	r.requests = broker.Topic(t, partitions, requestsMax)
	r.results = broker.Topic(t, partitions, outcomesMax)
	r.deadletters = broker.Topic(t, partitions, outcomesMax)
	r.replays = broker.Topic(t, 1, "retention.ms=-1")
	r.group = "group-of-" + r.requests
	return r
}

// flags are the command line of run for this rig.
func (r *rig) flags() []string {
	return []string{
		"run", "--kafka.brokers=" + r.broker.Brokers()[0], "--kafka.group=" + r.group, "--kafka.session-timeout=6s",
		"--topics.requests=" + r.requests, "--topics.results=" + r.results, "--topics.deadletters=" + r.deadletters,
		"--topics.replays=" + r.replays, "--cms.url=" + r.cmsURL,
		"--cms.breaker.open-time=500ms", "--cms.probe-interval=500ms",
		"--http.listen=127.0.0.1:0", "--http.admin=127.0.0.1:0", "--log.format=json", "--log.level=debug", "--instance=i" +
			strconv.Itoa(int(r.instances.Add(1))),
	}
}

// Start runs an instance and waits until it serves HTTP; it may not hold its place in the group yet.
func (r *rig) Start(flags ...string) *instance {
	r.t.Helper()
	in := launch(r.t, append(r.flags(), flags...)...).await()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = append(r.started, in)
	return in
}

// launched returns what Start has started.
func (r *rig) launched() []*instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.started)
}

// StartReady is Start that also waits until the instance holds its place in the group.
func (r *rig) StartReady(flags ...string) *instance {
	r.t.Helper()
	in := r.Start(flags...)
	in.eventually("the instance is ready", in.Ready)
	return in
}

// ask makes a request as a publisher would: keyed by the contract.
func ask(contract int64, codes ...string) kafka.Message {
	request := schemas.Request{ContractID: contract, BalanceCodes: codes}
	return kafka.Message{Key: strconv.AppendInt(nil, contract, 10), Value: request.AppendJSON(nil)}
}

// asks makes n requests, in turn for each of the contracts first, first+1, …
func asks(n int, contracts int64, first int64) []kafka.Message {
	msgs := make([]kafka.Message, n)
	for i := range msgs {
		msgs[i] = ask(first+int64(i)%contracts, cmssim.Codes[i%len(cmssim.Codes)], cmssim.Codes[(i+1)%len(cmssim.Codes)])
	}
	return msgs
}

// Send publishes requests and remembers them.
func (r *rig) Send(msgs ...kafka.Message) []kafka.Message {
	r.t.Helper()
	return r.remember(r.broker.Produce(r.t, r.requests, msgs...))
}

// SendTo is Send to one partition.
func (r *rig) SendTo(partition int32, msgs ...kafka.Message) []kafka.Message {
	r.t.Helper()
	return r.remember(r.broker.ProduceTo(r.t, r.requests, partition, msgs...))
}

func (r *rig) remember(msgs []kafka.Message) []kafka.Message {
	r.sent = append(r.sent, msgs...)
	return msgs
}

// AwaitCommitted waits until the group has committed everything up to the end of the request topic.
func (r *rig) AwaitCommitted() {
	r.t.Helper()
	var committed, ends map[int32]int64
	defer func() {
		if r.t.Failed() {
			r.t.Logf("committed %v of %v", committed, ends)
		}
	}()
	kafkatest.Eventually(r.t, waitTimeout, "all requests are committed", func() bool {
		ends = r.broker.EndOffsets(r.t, r.requests)
		maps.DeleteFunc(ends, func(_ int32, end int64) bool { return end == 0 })
		committed = r.broker.Committed(r.t, r.group, r.requests)
		maps.DeleteFunc(committed, func(_ int32, offset int64) bool { return offset == 0 })
		return maps.Equal(ends, committed)
	})
}

// AwaitWritten waits until the topic holds at least n records.
func (r *rig) AwaitWritten(topic string, n int64) {
	r.t.Helper()
	kafkatest.Eventually(r.t, waitTimeout, fmt.Sprintf("%d records are in %s", n, topic),
		func() bool { return r.written(topic) >= n })
}

// written is how many records the topic got so far.
func (r *rig) written(topic string) (n int64) {
	r.t.Helper()
	for _, end := range r.broker.EndOffsets(r.t, topic) {
		n += end
	}
	return n
}
