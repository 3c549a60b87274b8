// Command cloudevents has CloudEvents' SDK for Go write requests in every way it has, or read topics and pass the events
// on as JSON. It is a module of its own, so that those who import the client do not get the SDK's dependencies.
//
// Usage: BROKERS=… cloudevents write CONTRACT… | read TOPIC COUNT …
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/segmentio/kafka-go"
)

func main() {
	brokers := strings.Split(os.Getenv("BROKERS"), ",")
	act := read
	if os.Args[1] == "write" {
		act = write
	}
	if err := act(context.Background(), brokers, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(ctx context.Context, brokers, contracts []string) error {
	var written []kafka.Message
	for _, contract := range contracts {
		for _, way := range []string{"binary", "structured", "base64"} {
			e, err := request("go-"+way+"-"+contract, contract)
			if err != nil {
				return err
			}
			e.DataBase64 = way == "base64"
			mode := binding.WithForceStructured
			if way == "binary" {
				mode = binding.WithForceBinary
			}
			m, err := toRecord(mode(ctx), e, contract)
			if err != nil {
				return err
			}
			written = append(written, m)
		}
	}
	w := kafka.Writer{Addr: kafka.TCP(brokers...), Topic: "balance.requests", Balancer: kafka.Murmur2Balancer{},
		RequiredAcks: kafka.RequireAll, BatchTimeout: time.Millisecond}
	if err := w.WriteMessages(ctx, written...); err != nil {
		return err
	}
	return w.Close()
}

// toRecord writes an event in the mode that the context forces.
func toRecord(ctx context.Context, e event.Event, key string) (kafka.Message, error) {
	rec := record{&kafka.Message{Key: []byte(key)}}
	_, err := binding.Write(ctx, binding.ToMessage(&e), rec, rec)
	return *rec.Message, err
}

func toEvent(ctx context.Context, m kafka.Message) (*event.Event, error) {
	return binding.ToEvent(ctx, record{&m})
}

func request(id, contract string) (event.Event, error) {
	e := event.New()
	e.SetID(id)
	e.SetSource("/statements")
	e.SetType("example.balance.requested")
	e.SetTime(time.Now())
	e.SetExtension("partitionkey", contract)
	e.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	e.SetExtension("attempt", 3)
	return e, e.SetData("application/json", map[string]any{
		"contractId": contract, "balanceCodes": []string{"AVAILABLE", "BLOCKED"}})
}

// line is what is printed of one record.
type line struct {
	At    string       `json:"at"`
	Event *event.Event `json:"event,omitempty"`
	Error string       `json:"error,omitempty"`
}

func read(ctx context.Context, brokers, counts []string) error {
	missing := map[string]int{}
	for topic := range slices.Chunk(counts, 2) {
		n, err := strconv.Atoi(topic[1])
		if err != nil {
			return err
		}
		missing[topic[0]] = n
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, GroupID: fmt.Sprint("events-", time.Now().UnixNano()),
		GroupTopics: slices.Collect(maps.Keys(missing)), StartOffset: kafka.FirstOffset,
		IsolationLevel: kafka.ReadCommitted, MaxWait: 100 * time.Millisecond})
	for len(missing) > 0 {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return err
		}
		out := line{At: fmt.Sprintf("%s/%d/%d", m.Topic, m.Partition, m.Offset)}
		if out.Event, err = toEvent(ctx, m); err != nil {
			out.Error = err.Error()
		}
		text, err := json.Marshal(out)
		if err != nil {
			return err
		}
		fmt.Println(string(text))
		if missing[m.Topic]--; missing[m.Topic] == 0 {
			delete(missing, m.Topic)
		}
	}
	return r.Close()
}
