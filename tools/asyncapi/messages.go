package main

import (
	"fmt"
	"slices"

	"github.com/balanceq/balanceq/schemas"
)

// Schemas of payloads and headers, below schemas/v1.
const (
	requestSchema    = "balance-request.schema.json"
	resultSchema     = "balance-result.schema.json"
	deadLetterSchema = "balance-deadletter-headers.schema.json"
)

type message struct {
	Name, Title, About string
	ContentType        string // "": whatever the request has
	Payload            string // file of the schema; "": not described
	Envelope           bool   // a structured event, whose data the schema describes
	HeaderSchema       string // file of the schema of the headers; "": Headers and Traits have them
	Traits             []string
	Headers            []header // beside, or more narrow than, those of the traits
	Correlation        string   // where the id is that ties answers to requests
	Examples           []example
}

// trait is a group of headers that several messages have.
type trait struct {
	Name, About string
	Headers     []header
}

type header struct {
	Name, About string
	Required    bool
	Const       string // the only value it has
	MaxBytes    int
	Binary      bool
}

// example is a message of schemas/v1/examples.
type example struct {
	Name    string
	File    string            // below schemas/v1, of the payload, or of the headers where a schema describes those
	Headers map[string]string // else
}

func traits(echo []string) []trait {
	event := trait{"cloudEvent", "CloudEvents 1.0, Kafka binding, binary mode.", []header{
		{Name: schemas.HeaderEventSpecVersion, About: "Version of CloudEvents: 1.0, or another 1.x.", Required: true},
		{Name: schemas.HeaderEventID, About: "Id of the event.", Required: true},
		{Name: schemas.HeaderEventSource, About: "Who has written it."},
		{Name: schemas.HeaderEventType, About: "Kind of the event."},
		{Name: schemas.HeaderEventTime, About: "When it happened, RFC 3339."},
		{Name: schemas.HeaderEventDataSchema, About: "Schema of the value."},
		{Name: schemas.HeaderContentType, About: "Of the value."},
	}}
	trace := trait{"traceContext", "W3C Trace Context.", []header{
		{Name: schemas.HeaderTraceparent, About: "Trace and span of who has written it."},
		{Name: schemas.HeaderTracestate, About: "What tracing systems add to that."},
	}}
	eventTrace := trait{"eventTrace", "The same as attributes of the event: CloudEvents' Distributed Tracing extension.",
		[]header{
			{Name: schemas.HeaderEventTraceparent, About: "On a request, it counts where there is no traceparent."},
			{Name: schemas.HeaderEventTracestate, About: "As tracestate."},
		}}
	back := trait{Name: "correlation",
		About: "Headers of results.echo-headers: they come back on the result byte for byte."}
	for _, name := range echo {
		back.Headers = append(back.Headers, header{Name: name, MaxBytes: schemas.MaxEchoValue, Binary: true,
			About: "Any bytes; on a result, those of the request."})
	}
	reply := trait{"replyTopic", "A copy of the result in a topic of its own.", []header{
		{Name: schemas.HeaderReplyTopic, About: "That topic, which results.reply-topics has to list."},
		{Name: schemas.HeaderReplyPartition, Binary: true, MaxBytes: 4,
			About: "Its partition, 4 bytes, big-endian. Absent: by the key."},
	}}
	return []trait{event, trace, eventTrace, back, reply}
}

func messages() ([]message, error) {
	result := message{Name: "result", Title: "Balance result",
		About: "The answer to one request, as a CloudEvents event in binary mode. Ids and amounts are strings with the " +
			"CMS's exact digits. Ignore members and headers that you do not know. Where results.registry.url is set, a " +
			"schema registry's frame is before the JSON: a zero byte and the 4 bytes of the schema's id (schemaIdLocation " +
			"payload, schemaIdPayloadEncoding confluent).",
		ContentType: "application/json", Payload: resultSchema,
		Traits: []string{"cloudEvent", "traceContext", "eventTrace", "correlation"},
		Headers: []header{
			{Name: schemas.HeaderEventSpecVersion, Required: true, About: "Version of CloudEvents.", Const: "1.0"},
			{Name: schemas.HeaderEventID, Required: true,
				About: "The request's position, topic id and leader epoch: the same for every repetition of one result."},
			{Name: schemas.HeaderEventSource, Required: true, About: "balanceq/ and the topic of the request."},
			{Name: schemas.HeaderEventType, Required: true, About: "Kind of the event.", Const: schemas.ResultEventType},
			{Name: schemas.HeaderEventTime, Required: true, About: "When the CMS answered, RFC 3339."},
			{Name: schemas.HeaderEventDataSchema, About: "The $id of the schema of the value.", Const: schemas.ResultDataSchema},
			{Name: schemas.HeaderContentType, Required: true,
				About: "Of the value: application/json, or application/octet-stream where a registry's frame is before it."},
		},
		Correlation: "$message.payload#/requestId"}
	for _, name := range []string{"complete", "partial", "failed"} {
		file := "examples/results/" + name + ".json"
		headers, err := resultHeaders(file)
		if err != nil {
			return nil, err
		}
		result.Examples = append(result.Examples, example{name, file, headers})
	}
	return []message{
		{Name: "request", Title: "Balance request",
			About: "Reading is strict: no member twice, nothing behind the value, valid UTF-8. Unknown members are " +
				"ignored. Send ids as strings: many languages lose digits of large numbers. A frame of a schema " +
				"registry's serializer before the JSON (a zero byte and 4 bytes of an id) is skipped; an id in the header " +
				"__value_schema_id is not looked at.",
			ContentType: "application/json", Payload: requestSchema,
			Traits: []string{"traceContext", "correlation", "replyTopic"}, Correlation: "$message.payload#/requestId",
			Examples: []example{{Name: "smallest", File: "examples/requests/string-id.json"},
				{Name: "full", File: "examples/requests/full.json"}}},
		{Name: "requestEvent", Title: "Balance request as a CloudEvents event, binary mode",
			About:       "The same value. The event's id is the request's where that has no requestId.",
			ContentType: "application/json", Payload: requestSchema,
			Traits:      []string{"cloudEvent", "traceContext", "eventTrace", "correlation", "replyTopic"},
			Correlation: "$message.header#/" + schemas.HeaderEventID,
			Examples: []example{{"binary", "examples/requests/string-id.json", map[string]string{
				schemas.HeaderEventSpecVersion: "1.0", schemas.HeaderEventID: "5f0c1d52",
				schemas.HeaderEventSource: "/statements", schemas.HeaderEventType: "example.balance.requested"}}}},
		{Name: "requestEnvelope", Title: "Balance request as a CloudEvents event, structured mode",
			About:       "The value is the event, and its data, or data_base64, the request.",
			ContentType: "application/cloudevents+json", Payload: requestSchema, Envelope: true,
			Traits: []string{"traceContext", "correlation", "replyTopic"}, Correlation: "$message.payload#/id",
			Headers: []header{{Name: schemas.HeaderContentType, Required: true,
				About: "Tells the mode.", Const: "application/cloudevents+json"}},
			Examples: []example{{"structured", "examples/cloudevents/data.json",
				map[string]string{schemas.HeaderContentType: "application/cloudevents+json"}}}},
		result,
		{Name: "deadLetter", Title: "Dead letter",
			About: "Key, value and headers of the request, byte for byte, and these headers of text. The value may be no " +
				"JSON at all: that may be why it is here.",
			HeaderSchema: deadLetterSchema, Correlation: "$message.header#/" + schemas.HeaderRequestID,
			Examples: []example{{Name: "contract-not-found", File: "examples/deadletter-headers/contract-not-found.json"},
				{Name: "invalid-request", File: "examples/deadletter-headers/invalid-request.json"}}},
		{Name: "ledgerEntry", Title: "Entry of the ledger", About: "balanceq's own, and no contract."},
	}, nil
}

// resultHeaders are those that balanceq writes on such a result.
func resultHeaders(file string) (map[string]string, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	result, err := schemas.DecodeResult(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	result.Log = schemas.LogID{TopicID: "Vd3hqZ0FTIqz9sVYbn1w7g"}
	headers := map[string]string{}
	for _, h := range result.Message(nil).Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers, nil
}

// allHeaders are a message's own and those of its traits, in the order of these; its own word counts.
func (s service) allHeaders(m message) []header {
	var all []header
	at := map[string]int{}
	add := func(headers []header) {
		for _, h := range headers {
			if i, known := at[h.Name]; known {
				all[i] = h
				continue
			}
			at[h.Name] = len(all)
			all = append(all, h)
		}
	}
	for _, t := range s.Traits {
		if slices.Contains(m.Traits, t.Name) {
			add(t.Headers)
		}
	}
	add(m.Headers)
	return all
}
