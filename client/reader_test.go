package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// embedded is a cluster of the test's own, with topics q (3 partitions) and a (3 partitions).
func embedded(t *testing.T) (*kfake.Cluster, client.Config) {
	t.Helper()
	cluster := kafkatest.Embedded(t, kfake.SeedTopics(3, "q", "a"))
	return cluster, client.Config{Brokers: cluster.ListenAddrs(), Requests: "q", Results: "a"}
}

// ask asks about contracts, side by side, and fails the test for each that is not answered with its own.
func ask(t *testing.T, c *client.Client, contracts ...int64) {
	t.Helper()
	ctx := within(t)
	var wg sync.WaitGroup
	for _, contract := range contracts {
		wg.Go(func() {
			a, err := c.Ask(ctx, client.Request{ContractID: contract, BalanceCodes: []string{"A"}})
			if b, _ := a.Balance("A"); err != nil || b.ID != strconv.FormatInt(contract, 10) {
				t.Errorf("asked about %d, got %+v, error %v", contract, a, err)
			}
		})
	}
	wg.Wait()
}

// contracts are so many that every partition has some.
func contracts() []int64 {
	all := make([]int64, 60)
	for i := range all {
		all[i] = int64(i + 1)
	}
	return all
}

// Leaders move and connections break while requests are under way: every one is answered.
func TestLeadersMove(t *testing.T) {
	t.Parallel()
	cluster, cfg := embedded(t)
	startService(t, cfg.Brokers, "q", "a", answerAll)
	c := opened(t, cfg)
	var cuts atomic.Int64
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if cuts.Add(1)%20 == 0 {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	for round := range int32(3) {
		for _, topic := range []string{"q", "a"} {
			for p := range int32(3) {
				if err := cluster.MoveTopicPartition(topic, p, (cluster.LeaderFor(topic, p)+1+round%2)%3); err != nil {
					t.Fatal(err)
				}
			}
		}
		ask(t, c, contracts()...)
	}
}

// Partitions are added to both topics: what is asked and answered by the new layout finds its way.
func TestPartitionsAdded(t *testing.T) {
	t.Parallel()
	_, cfg := embedded(t)
	startService(t, cfg.Brokers, "q", "a", answerAll)
	c := opened(t, cfg)
	ask(t, c, contracts()...)
	kafkatest.AddPartitions(t, cfg.Brokers, "q", 7)
	kafkatest.AddPartitions(t, cfg.Brokers, "a", 11)
	for range 3 {
		ask(t, c, contracts()...)
		time.Sleep(500 * time.Millisecond) //nolint:forbidigo // before, while and after the new layout is known
	}
}

// The results topic is deleted and made again under way: answers in the new one are read from its beginning.
func TestTopicMadeAgain(t *testing.T) {
	t.Parallel()
	_, cfg := embedded(t)
	var hold atomic.Bool
	held := make(chan []schemas.Message, 1)
	startService(t, cfg.Brokers, "q", "a", func(rec *schemas.Record, q schemas.Request) (
		[]schemas.Message, time.Duration,
	) {
		answers, _ := answerAll(rec, q)
		if hold.Load() {
			held <- answers
			return nil, 0
		}
		return answers, 0
	})
	c := opened(t, cfg)
	ask(t, c, contracts()...)
	hold.Store(true)
	ticket, err := c.Send(within(t), client.Request{ContractID: 7, BalanceCodes: []string{"A"}})
	if err != nil {
		t.Fatal(err)
	}
	messages := <-held
	admin, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	remove := kmsg.NewPtrDeleteTopicsRequest()
	gone := kmsg.NewDeleteTopicsRequestTopic()
	gone.Topic = kmsg.StringPtr("a")
	remove.Topics, remove.TopicNames, remove.TimeoutMillis = append(remove.Topics, gone), []string{"a"}, 5000
	if _, err := remove.RequestWith(within(t), admin); err != nil {
		t.Fatal(err)
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	again := kmsg.NewCreateTopicsRequestTopic()
	again.Topic, again.NumPartitions, again.ReplicationFactor = "a", 2, 1
	create.Topics, create.TimeoutMillis = append(create.Topics, again), 5000
	if _, err := create.RequestWith(within(t), admin); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		rec := &kgo.Record{Topic: "a", Partition: 1, Key: m.Key, Value: m.Value}
		if err := admin.ProduceSync(within(t), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := ticket.Wait(within(t)); err != nil || a.Result.ContractID != 7 {
		t.Errorf("answer %+v, error %v", a, err)
	}
}

// Of repeated answers the first one counts; answers to others, and what is none, are left alone.
func TestForeignAndRepeatedAnswers(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	cfg := topics(t, broker, 2, 2)
	startService(t, broker.Brokers(), cfg.Requests, cfg.Results,
		func(rec *schemas.Record, q schemas.Request) ([]schemas.Message, time.Duration) {
			first, second, other := resultOf(rec, q), resultOf(rec, q), resultOf(rec, q)
			second.Balances[0].Value, other.RequestID = "2.00", "another's"
			return []schemas.Message{{Key: rec.Key, Value: []byte("{}")}, {Key: rec.Key}, other.Message(rec.Key),
				first.Message(rec.Key), second.Message(rec.Key)}, 0
		})
	c := opened(t, cfg)
	ctx := within(t)
	for i := range 20 {
		a, err := c.Ask(ctx, client.Request{ContractID: 5, BalanceCodes: []string{fmt.Sprint("A", i)}})
		if err != nil || a.Result.Balances[0].Value != "1.00" || a.Result.Balances[0].Code != fmt.Sprint("A", i) {
			t.Fatalf("answer %+v, error %v", a, err)
		}
	}
}

// What a transaction wrote that was aborted is no answer (read_committed).
func TestAbortedAnswer(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	cfg := topics(t, broker, 1, 1)
	c := opened(t, cfg)
	ticket, err := c.SendEncoded(within(t), client.Encoded{Key: []byte("5"), ID: "mine",
		Value: []byte(`{"contractId":5,"balanceCodes":["A"],"requestId":"mine"}`)})
	if err != nil {
		t.Fatal(err)
	}
	rec := &schemas.Record{Position: schemas.Position{Topic: cfg.Requests}, Key: []byte("5")}
	for i, commit := range []bool{false, true} {
		r := resultOf(rec, schemas.Request{ID: "mine", ContractID: 5, BalanceCodes: []string{"A"}})
		r.Balances[0].Value = fmt.Sprint(i)
		m := r.Message(rec.Key)
		broker.ProduceTransaction(t, cfg.Results, []kafka.Message{{Key: m.Key, Value: m.Value}}, commit)
	}
	if a, err := ticket.Wait(within(t)); err != nil || a.Result.Balances[0].Value != "1" {
		t.Errorf("answer %+v, error %v", a, err)
	}
}

// Where dead letters are read, a refusal says what they say, and comes with them; one whose request cannot be read is
// known by its CloudEvents id.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	cfg := topics(t, broker, 1, 2)
	cfg.DeadLetters = broker.Topic(t, 1)
	startService(t, broker.Brokers(), cfg.Requests, cfg.DeadLetters,
		func(rec *schemas.Record, q schemas.Request) ([]schemas.Message, time.Duration) {
			d := schemas.DeadLetter{Record: rec, Reason: schemas.ReasonAttemptsExhausted, Detail: "HTTP 500", RequestID: q.ID,
				Attempts: 5}
			return []schemas.Message{d.Message(schemas.Origin{Group: "g"})}, 0
		})
	c := opened(t, cfg)
	_, err := c.Ask(within(t), client.Request{ContractID: 5, BalanceCodes: []string{"A"}, ID: "mine"})
	refused, ok := errors.AsType[*client.RefusedError](err)
	if !ok || refused.Reason != schemas.ReasonAttemptsExhausted || refused.Detail != "HTTP 500" ||
		refused.Request.ID != "mine" || refused.DeadLetter == nil {
		t.Fatalf("error %v", err)
	}
	if id, _ := refused.DeadLetter.Header(client.HeaderCallerID); string(id) != "mine" {
		t.Errorf("the dead letter has the caller's id as %q", id)
	}
	ticket, err := c.SendEncoded(within(t), client.Encoded{Value: []byte("nonsense"), ID: "e-1", Headers: []schemas.Header{
		{Key: schemas.HeaderEventSpecVersion, Value: []byte("1.0")}, {Key: schemas.HeaderEventID, Value: []byte("e-1")}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ticket.Wait(within(t)); err == nil {
		t.Error("nonsense has a result")
	} else if _, ok := errors.AsType[*client.RefusedError](err); !ok {
		t.Errorf("error %v", err)
	}
}

// A client starts to read where the topics end: nothing of before is read, and what a fetch cannot read is passed over.
func TestCorruptBatch(t *testing.T) {
	t.Parallel()
	cluster, cfg := embedded(t)
	startService(t, cfg.Brokers, "q", "a", answerAll)
	var failing atomic.Int64
	cfg.Observer = observer{failing: func(error) { failing.Add(1) }}
	c := opened(t, cfg)
	ask(t, c, contracts()...)
	// The next answer of a broker has nonsense for one partition, which it does again until the reader is beyond it.
	var at atomic.Int64
	at.Store(-1)
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		for _, topic := range fetch.Topics {
			for _, p := range topic.Partitions {
				if time.Duration(fetch.MaxWaitMillis)*time.Millisecond == serviceWait || p.Partition != 1 {
					continue
				}
				if !at.CompareAndSwap(-1, p.FetchOffset) && at.Load() != p.FetchOffset {
					continue
				}
				resp := kmsg.NewPtrFetchResponse()
				resp.Version = req.GetVersion()
				part := kmsg.NewFetchResponseTopicPartition()
				part.Partition, part.RecordBatches = 1, make([]byte, 80)
				part.RecordBatches[11], part.RecordBatches[16] = 68, 2 // the length, and the format
				of := kmsg.NewFetchResponseTopic()
				of.Topic, of.TopicID, of.Partitions = topic.Topic, topic.TopicID, append(of.Partitions, part)
				resp.Topics = append(resp.Topics, of)
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
	// A session names a partition when its offset has changed, so something has to come. The nonsense may cost one of
	// these requests its answer, that of the first if the reader had reached the end; what is asked afterwards is behind
	// them.
	contract := int64(1001)
	for kafkawire.KeyPartition(strconv.AppendInt(nil, contract, 10), 0, 1, 2) != 1 {
		contract++
	}
	kafkatest.Eventually(t, 20*time.Second, "the reader complains", func() bool {
		if _, err := c.Send(within(t), client.Request{ContractID: contract, BalanceCodes: []string{"A"}}); err != nil {
			t.Fatal(err)
		}
		return failing.Load() > 0
	})
	ask(t, c, contract)
}

// observer hears of failures only.
type observer struct{ failing func(error) }

func (observer) Sent()                                  {}
func (observer) Answered(time.Duration, schemas.Reason) {}
func (observer) Unanswered()                            {}
func (o observer) Failing(err error)                    { o.failing(err) }

// What Open cannot have it says, and leaves nothing behind.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	good := topics(t, broker, 1, 1)
	for name, test := range map[string]struct {
		change func(*client.Config)
		says   string
	}{
		"no brokers":      {func(cfg *client.Config) { cfg.Brokers = nil }, "client: Brokers: is empty"},
		"no requests":     {func(cfg *client.Config) { cfg.Requests = "no-such" }, "client: opening: writing to no-such: "},
		"no results":      {func(cfg *client.Config) { cfg.Results = "no-such" }, "topic no-such: the topic does not exist"},
		"no dead letters": {func(cfg *client.Config) { cfg.DeadLetters = "no-such" }, "no-such: the topic does not exist"},
		"no broker there": {func(cfg *client.Config) { cfg.Brokers = []string{"127.0.0.1:1"} }, "connection refused"},
		"a negative":      {func(cfg *client.Config) { cfg.MaxWaiting = -1 }, "client: MaxWaiting: is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			ctx := within(t)
			if name == "no broker there" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
			}
			c, err := client.Open(ctx, cfg)
			if err == nil {
				t.Fatalf("opened: %v", c.Close(ctx))
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %s", err, test.says)
			}
		})
	}
}
