package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/balanceq/balanceq/schemas"
	"github.com/segmentio/kafka-go"
)

// message is a record of balanceq's as the SDK reads it.
func message(m schemas.Message) kafka.Message {
	headers := make([]kafka.Header, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = kafka.Header(h)
	}
	return kafka.Message{Key: m.Key, Value: m.Value, Headers: headers}
}

// written is a record of the SDK as balanceq reads it.
func written(m kafka.Message) *schemas.Record {
	rec := &schemas.Record{Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		rec.Headers = append(rec.Headers, schemas.Header(h))
	}
	return rec
}

// The SDK reads results as valid events of version 1.0, with their data and their trace, and can pass them on in
// structured mode.
func TestSDKReadsResults(t *testing.T) {
	retrieved := time.Date(2026, 1, 31, 11, 59, 58, 250e6, time.UTC)
	source := schemas.Position{Topic: "balance.requests", Partition: 3, Offset: 4711}
	results := map[string]schemas.Result{
		"complete": {RequestID: "r-1", ContractID: 70001, Outcome: schemas.OutcomeComplete, RetrievedAt: retrieved,
			CorrelationID: "5e0e9f0a", Source: source,
			Balances: []schemas.Balance{{Code: "AVAILABLE", ID: "89516416", Currency: "EUR", Value: "9811.31"}}},
		"failed, of a topic with an id": {RequestID: "r-2", Outcome: schemas.OutcomeFailed,
			Reason: schemas.ReasonInvalidRequest, RetrievedAt: retrieved, Source: source,
			Log: schemas.LogID{TopicID: "Vd3hqZ0FTIqz9sVYbn1w7g", LeaderEpoch: 2}},
		// Its data is what the record has, the frame of a schema registry included: passed on, it is bytes and no JSON.
		"framed": {RequestID: "r-3", ContractID: 70001, Outcome: schemas.OutcomePartial, RetrievedAt: retrieved,
			CorrelationID: "5e0e9f0a", Source: source, MissingBalanceCodes: []string{"BLOCKED"}, SchemaID: 7},
	}
	for name, result := range results {
		t.Run(name, func(t *testing.T) {
			of := result.Message(nil)
			contentType := "application/json"
			if result.SchemaID != 0 {
				contentType = "application/octet-stream"
			}
			e, err := toEvent(t.Context(), message(of))
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
			if e.SpecVersion() != "1.0" || e.Type() != schemas.ResultEventType || e.Source() != "balanceq/balance.requests" ||
				e.DataSchema() != schemas.ResultDataSchema || e.Subject() != "" || !e.Time().Equal(retrieved) ||
				!strings.HasPrefix(e.ID(), "balance.requests/3/4711") || e.DataContentType() != contentType {
				t.Errorf("event %s", e)
			}
			if len(e.Extensions()) != 0 || !bytes.Equal(e.Data(), of.Value) {
				t.Errorf("extensions %v, data %s", e.Extensions(), e.Data())
			}
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			again, err := toEvent(t.Context(), message(schemas.Message{Value: text,
				Headers: []schemas.Header{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}}}))
			if err != nil {
				t.Fatal(err)
			}
			read, err := schemas.DecodeResult(again.Data())
			if err != nil || !bytes.Equal(again.Data(), of.Value) || again.ID() != e.ID() ||
				read.RequestID != result.RequestID || read.Outcome != result.Outcome {
				t.Errorf("passed on: %s, %v", again, err)
			}
		})
	}
}

// Requests that the SDK writes are read in both modes, whatever extensions they have, and are one request.
func TestSDKWritesRequests(t *testing.T) {
	const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	codes := []string{"AVAILABLE", "BLOCKED"}
	data := map[string]any{"contractId": "70001", "balanceCodes": codes}
	asJSON, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]func(context.Context) context.Context{
		"binary": binding.WithForceBinary, "structured": binding.WithForceStructured,
	}
	contents := map[string]any{"data": data, "data_base64": asJSON}
	for mode, force := range modes {
		for kind, content := range contents {
			t.Run(mode+" "+kind, func(t *testing.T) {
				e := event.New()
				e.SetID("event-1")
				e.SetSource("/statements")
				e.SetType("example.balance.requested")
				e.SetTime(time.Date(2026, 1, 31, 11, 59, 58, 0, time.UTC))
				e.SetExtension("partitionkey", "70001")
				e.SetExtension("traceparent", traceparent)
				e.SetExtension("attempt", 3)
				if err := e.SetData("application/json", content); err != nil {
					t.Fatal(err)
				}
				e.DataBase64 = kind == "data_base64"
				m, err := toRecord(force(t.Context()), e, "70001")
				if err != nil {
					t.Fatal(err)
				}
				asBase64 := mode == "structured" && kind == "data_base64"
				if bytes.Contains(m.Value, []byte(`"data_base64"`)) != asBase64 {
					t.Fatalf("not what is to be tried: %s", m.Value)
				}
				for _, frame := range []string{"", "\x00\x00\x00\x00\x07"} { // of a schema registry, behind the SDK
					framed := m
					framed.Value = append([]byte(frame), m.Value...)
					got, err := schemas.DecodeRequest(written(framed))
					if err != nil {
						t.Fatalf("%v: %v %q", err, framed.Headers, framed.Value)
					}
					if got.ID != "event-1" || got.ContractID != 70001 || !slices.Equal(got.BalanceCodes, codes) ||
						string(got.Trace.Parent) != traceparent {
						t.Errorf("request %+v, behind %q", got, frame)
					}
				}
			})
		}
	}
}
