package schemas

import (
	"encoding/binary"
	"reflect"
	"testing"
)

// frame puts a registry's frame before a text, as Confluent's JSON Schema serializer does.
func frame(id uint32, text string) string {
	return "\x00" + string(binary.BigEndian.AppendUint32(nil, id)) + text
}

// framedSeeds are values that begin with a frame, or nearly.
var framedSeeds = []string{
	frame(1, plain), frame(1<<32-1, plain), frame(7, `{"specversion":"1.0","id":"event-1","data":`+plain+`}`),
	frame(7, "\x02\x0a70001\x02\x12AVAILABLE\x00"), // Avro
	frame(7, "\x00\x0a\x0570001\x12\x09AVAILABLE"), // Protobuf: the index of a message first
	frame(7, frame(7, plain)), frame(7, "\xef\xbb\xbf"+plain), frame(7, ""), "\x00", "\x00{}", "\x01\x00\x00\x00\x01{}",
}

func TestDecodeFramedRequest(t *testing.T) {
	event := `{"specversion":"1.0","id":"event-1","data":` + plain + `}`
	want := func(id string) Request {
		return Request{ID: id, ContractID: 70001, BalanceCodes: []string{"AVAILABLE"}}
	}
	tests := map[string]struct {
		rec  *Record
		want Request
	}{
		"plain":              {record(frame(1, plain)), want(position.String())},
		"the largest id":     {record(frame(1<<32-1, plain)), want(position.String())},
		"white space behind": {record(frame(7, " \n"+plain)), want(position.String())},
		"an id like JSON":    {record(frame(0x7b7b7b7b, plain)), want(position.String())},
		"a binary event": {record(frame(7, plain), HeaderEventSpecVersion, "1.0", HeaderEventID, "event-1"),
			want("event-1")},
		"a structured event": {record(frame(7, event), HeaderContentType, structured), want("event-1")},
		"the id in a header": {record(plain, "__value_schema_id", "\x01"+"0123456789abcdef"), want(position.String())},
		"both": {record(frame(7, plain), "__value_schema_id", "\x01"+"0123456789abcdef", "__key_schema_id", "x"),
			want(position.String())},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := string(test.rec.Value)
			got, err := DecodeRequest(test.rec)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
			if string(test.rec.Value) != before {
				t.Error("the record's value was changed")
			}
		})
	}
}

func TestDecodeFramedRequestRefuses(t *testing.T) {
	const framed = `value: is framed as schema id 7; send JSON behind that: it `
	tests := map[string]struct{ value, want string }{
		"Avro": {frame(7, "\x02\x0a70001\x02\x12AVAILABLE\x00"),
			framed + `is not valid JSON at byte 0: invalid character '\x02' at start of value`},
		"Protobuf": {frame(7, "\x00\x0a\x0570001\x12\x09AVAILABLE"),
			framed + `is not valid JSON at byte 0: invalid character '\x00' at start of value`},
		"framed twice": {frame(7, frame(8, plain)),
			framed + `is not valid JSON at byte 0: invalid character '\x00' at start of value`},
		"Avro that begins as JSON does": {frame(7, "{70001"),
			framed + `is not valid JSON at byte 1: object member name must be a string`},
		"a digit":     {frame(7, "7"), framed + `is a number; send ` + wantRequest},
		"white space": {frame(7, " "), framed + `is only white space; send a JSON object`},
		"cut short":   {frame(7, `{"contractId":1`), framed + `is not complete JSON: it ends at byte 15`},
		"an envelope": {frame(7, `{"specversion":"1.0","data":{}}`), framed + wantStructured},
		"a wrong member": {frame(7, `{"contractId":true,"balanceCodes":["A"]}`),
			`contractId: is a boolean; send ` + wantContractID},
		"a member twice": {frame(7, `{"contractId":1,"contractId":2}`), `contractId: appears twice; send it once`},
		"the largest id": {frame(1<<32-1, "x"), `value: is framed as schema id 4294967295; send JSON behind that: it ` +
			`is not valid JSON at byte 0: invalid character 'x' at start of value`},
		"nothing behind it": {frame(7, ""), `value: is not valid JSON at byte 0: invalid character '\x00' at start of value`},
		"another magic": {"\x01\x00\x00\x00\x07" + plain,
			`value: is not valid JSON at byte 0: invalid character '\x01' at start of value`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeRequest(record(test.value))
			wantRequestError(t, err, test.want)
			checkRefusal(t, err)
		})
	}
	const header = " (its header __value_schema_id is a schema registry's; send JSON, not Avro or Protobuf)"
	const avro = `value: is not valid JSON at byte 0: invalid character '\x02' at start of value`
	for value, want := range map[string]string{
		"\x02\x0a70001":                         avro + header,
		`{"contractId":true,"balanceCodes":[]}`: `contractId: is a boolean; send ` + wantContractID,
	} {
		_, err := DecodeRequest(record(value, "__value_schema_id", "\x01"+"0123456789abcdef"))
		wantRequestError(t, err, want)
		checkRefusal(t, err)
	}
}

// A result is framed as Confluent's serializer does it, in no more allocations, and is read with the frame or without.
func TestFramedResult(t *testing.T) {
	plain := typicalResult
	framed := plain
	framed.SchemaID = 0x01020304
	m := framed.Message(nil)
	if want := "\x00\x01\x02\x03\x04" + string(plain.AppendJSON(nil)); string(m.Value) != want {
		t.Errorf("got  %q\nwant %q", m.Value, want)
	}
	var contentType string
	for i, h := range plain.Message(nil).Headers {
		if h.Key == HeaderContentType {
			contentType = string(m.Headers[i].Value)
		} else if h.Key != m.Headers[i].Key || string(h.Value) != string(m.Headers[i].Value) {
			t.Errorf("header %s=%s", m.Headers[i].Key, m.Headers[i].Value)
		}
	}
	// A binary event's content type is that of the whole value (CloudEvents' Kafka binding, 3.2.1).
	if contentType != "application/octet-stream" {
		t.Errorf("content-type: %s", contentType)
	}
	got, err := DecodeResult(m.Value)
	if err != nil || got.RequestID != plain.RequestID || string(Unframe(m.Value)) != string(plain.AppendJSON(nil)) {
		t.Errorf("read as %+v, %v", got, err)
	}
	if id, is := SchemaID(m.Value); id != 0x01020304 || !is {
		t.Errorf("schema id %d, %v", id, is)
	}
	if _, is := SchemaID(plain.AppendJSON(nil)); is {
		t.Error("JSON is taken for a frame")
	}
	if raceEnabled {
		return
	}
	allocations := func(r *Result) float64 { return testing.AllocsPerRun(1000, func() { _ = r.Message(nil) }) }
	if got, want := allocations(&framed), allocations(&plain); got != want {
		t.Errorf("%v allocations, %v without the frame", got, want)
	}
}

// A framed request costs as much as a plain one, and a dead letter and its replay keep the frame.
func TestFrameIsKept(t *testing.T) {
	framed := record(frame(7, plain))
	letter := (&DeadLetter{Record: framed, Reason: ReasonExpired, Attempts: 1}).Message(Origin{Group: "g"})
	replay := ReplayMessage(&Record{Value: letter.Value, Headers: letter.Headers}, "run", Trace{})
	if string(letter.Value) != frame(7, plain) || string(replay.Value) != frame(7, plain) {
		t.Errorf("dead letter %q, replay %q", letter.Value, replay.Value)
	}
	again, err := DecodeRequest(&Record{Value: replay.Value, Headers: replay.Headers})
	if err != nil || again.ID != position.String() {
		t.Errorf("the replay is %+v, %v", again, err)
	}
	if raceEnabled {
		return // sync.Pool drops things at random
	}
	allocations := func(rec *Record) float64 {
		return testing.AllocsPerRun(1000, func() { _, _ = DecodeRequest(rec) })
	}
	if got, want := allocations(framed), allocations(record(plain)); got != want {
		t.Errorf("%v allocations, %v without the frame", got, want)
	}
}
