package deadletter

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/schemas"
)

// nasty is what terminals, spreadsheets and readers of CSV or JSON take for something else than text.
var nasty = []string{
	"", " ", "\r\n", "\n", "\r", "\t", ",", ";", `"`, `'`, `\`, `\.`, "=1+1", "+1", "-1", "@SUM(A1)", ";=1+1", "\n=1+1",
	"＝1",
	"\x00", "\a", "\x1b[31m", "\x1b]52;c;eA==\a", "\u009b2J", "\x7f", "\u202e", "\u200b", "\ufeff", "\u2028", "\U000e0001",
	"\ufffd", "\xff", "\xc3",
	"\xed\xa0\x80", "日本", "4111111111111111", "null", "<&>", `\u0041`, "{}", "[1,-2]",
}

// anyBytes are null, empty, nasty or just bytes.
func anyBytes(t *rapid.T, name string) []byte {
	switch rapid.IntRange(0, 3).Draw(t, name+" kind") {
	case 0:
		return nil
	case 1:
		return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, name)
	}
	return []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(nasty), 0, 6).Draw(t, name), ""))
}

func anyLetter(t *rapid.T) *Letter {
	rec := &schemas.Record{
		Position: schemas.Position{
			Topic: "balance.deadletters", Partition: rapid.Int32Range(0, 1<<31-1).Draw(t, "partition"),
			Offset: rapid.Int64Range(0, 1<<62).Draw(t, "offset"),
		},
		Key: anyBytes(t, "key"), Value: anyBytes(t, "value"), Time: time.UnixMilli(rapid.Int64().Draw(t, "time")),
	}
	names := []string{schemas.HeaderReason, schemas.HeaderDetail, schemas.HeaderErrorsTopic, schemas.HeaderErrorsMessage,
		"trace", ""}
	for range rapid.IntRange(0, 5).Draw(t, "headers") {
		name := rapid.SampledFrom(names).Draw(t, "name")
		if name == "" {
			name = string(anyBytes(t, "name"))
		}
		rec.Headers = append(rec.Headers, schemas.Header{Key: name, Value: anyBytes(t, "header")})
	}
	return Read(rec)
}

// same says whether a record read back is the one that was written. No headers are as good as an empty list.
func same(a, b *schemas.Record) bool {
	equal := func(x, y []byte) bool { return (x == nil) == (y == nil) && bytes.Equal(x, y) }
	if a.Partition != b.Partition || a.Offset != b.Offset || !equal(a.Key, b.Key) || !equal(a.Value, b.Value) ||
		len(a.Headers) != len(b.Headers) {
		return false
	}
	for i := range a.Headers {
		if a.Headers[i].Key != b.Headers[i].Key || !equal(a.Headers[i].Value, b.Headers[i].Value) {
			return false
		}
	}
	return true
}

// decodeText reads a member and its sister in base64, exactly one of which is there.
func decodeText(members map[string]json.RawMessage, name string) ([]byte, error) {
	plain, isText := members[name]
	coded, isCoded := members[name+"Base64"]
	var b []byte
	switch {
	case isText == isCoded:
		return nil, fmt.Errorf("%s: as text %t, as base64 %t", name, isText, isCoded)
	case isCoded:
		return b, json.Unmarshal(coded, &b)
	case string(plain) == "null":
		return nil, nil
	}
	var s string
	err := json.Unmarshal(plain, &s)
	return []byte(s), err
}

func decodeHeaders(b []byte) ([]schemas.Header, error) {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	headers := make([]schemas.Header, len(list))
	for i, members := range list {
		name, err := decodeText(members, "name")
		if err != nil {
			return nil, err
		}
		headers[i].Key = string(name)
		if headers[i].Value, err = decodeText(members, "value"); err != nil {
			return nil, err
		}
	}
	return headers, nil
}

func decodeNDJSON(line []byte) (*schemas.Record, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return nil, err
	}
	rec := &schemas.Record{}
	err := json.Unmarshal(members["deadLetter"], &rec.Position)
	if err != nil {
		return nil, err
	}
	if rec.Key, err = decodeText(members, "key"); err != nil {
		return nil, err
	}
	if rec.Value, err = decodeText(members, "value"); err != nil {
		return nil, err
	}
	rec.Headers, err = decodeHeaders(members["headers"])
	return rec, err
}

func checkNDJSON(l *Letter) error {
	line, err := NewDocument(l).JSON()
	if err != nil {
		return err
	}
	if !utf8.Valid(line) || bytes.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return fmt.Errorf("not fit for a terminal: %q", line)
	}
	got, err := decodeNDJSON(line)
	if err != nil {
		return err
	}
	if !same(l.Record, got) {
		return fmt.Errorf("read back as %+v: %s", got, line)
	}
	return nil
}

func TestNDJSONIsLossless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := anyLetter(t)
		if err := checkNDJSON(l); err != nil {
			t.Fatalf("%+v: %v", l.Record, err)
		}
	})
}

// decodeCell reads a key or value.
func decodeCell(cell, encoding string) ([]byte, error) {
	switch encoding {
	case encodingText:
		return []byte(cell), nil
	case encodingBase64:
		return base64.StdEncoding.DecodeString(cell)
	case encodingNull:
		if cell == "" {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("encoding %q of %q", encoding, cell)
}

// decodeCSV reads what encoding/csv wrote.
func decodeCSV(text []byte) (rec *schemas.Record, cells map[string]string, err error) {
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 2 {
		return nil, nil, fmt.Errorf("%d rows, error %w", len(rows), err)
	}
	cells = map[string]string{}
	for i, name := range rows[0] {
		cells[name] = rows[1][i]
	}
	rec = &schemas.Record{}
	if _, err = fmt.Sscan(cells["partition"]+" "+cells["offset"], &rec.Partition, &rec.Offset); err != nil {
		return nil, nil, err
	}
	if rec.Key, err = decodeCell(cells["key"], cells["key_encoding"]); err != nil {
		return nil, nil, err
	}
	if rec.Value, err = decodeCell(cells["value"], cells["value_encoding"]); err != nil {
		return nil, nil, err
	}
	rec.Headers, err = decodeHeaders([]byte(cells["headers"]))
	return rec, cells, err
}

func checkCSV(l *Letter) error {
	row, err := CSVRow(l)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll([][]string{CSVColumns, row}); err != nil {
		return err
	}
	if !utf8.Valid(b.Bytes()) || bytes.ContainsFunc(b.Bytes(),
		func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
		return fmt.Errorf("not fit for a terminal: %q", &b)
	}
	got, cells, err := decodeCSV(b.Bytes())
	if err != nil {
		return fmt.Errorf("%w in %q", err, &b)
	}
	if !same(l.Record, got) {
		return fmt.Errorf("read back as %+v: %q", got, &b)
	}
	for name, cell := range cells {
		if cells[name+"_encoding"] == encodingBase64 {
			continue // has neither brackets nor bars: never more than a sum
		}
		for _, field := range strings.FieldsFunc(cell, func(r rune) bool { return r == ';' || r == '\n' }) {
			if field = strings.TrimLeft(field, `"`); field != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(field)[0]) {
				return fmt.Errorf("%s holds a formula: %q", name, cell)
			}
		}
	}
	return nil
}

func TestCSVIsLossless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := anyLetter(t)
		if err := checkCSV(l); err != nil {
			t.Fatalf("%+v: %v", l.Record, err)
		}
	})
}

func fuzzed(f *testing.F, check func(*Letter) error) {
	for _, s := range nasty {
		f.Add([]byte(s), []byte(s), s, []byte(s), byte(0))
	}
	f.Add([]byte{}, []byte{}, "", []byte{}, byte(7))
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte, null byte) {
		rec := &schemas.Record{Key: key, Value: value,
			Headers: []schemas.Header{{Key: name, Value: header}, {Key: schemas.HeaderDetail, Value: header}}}
		for i, b := range []*[]byte{&rec.Key, &rec.Value, &rec.Headers[0].Value} {
			if null&(1<<i) != 0 {
				*b = nil
			} else if *b == nil {
				*b = []byte{}
			}
		}
		if err := check(Read(rec)); err != nil {
			t.Fatalf("%+v: %v", rec, err)
		}
	})
}

func FuzzNDJSON(f *testing.F) { fuzzed(f, checkNDJSON) }

func FuzzCSV(f *testing.F) { fuzzed(f, checkCSV) }

func TestDocument(t *testing.T) {
	t.Parallel()
	l := letter(7, `{"contractId":70001,"balanceCodes":["A"],"requestId":"r\u202e"}`, func(d *schemas.DeadLetter) {
		d.HTTPStatus, d.CMSReasonCode, d.Attempts, d.LastFailure = 404, "CONTRACT_DOES_NOT_EXIST", 2, noon
	})
	line, err := NewDocument(l).JSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"outcome":"dead-letter","requestId":"r\u202e","contractId":"70001","reason":"contract-not-found","detail":"no such contract",` +
		`"httpStatus":404,"cmsReasonCode":"CONTRACT_DOES_NOT_EXIST","attempts":2,"lastFailure":"2026-03-01T12:00:00.000Z","group":"balanceq",` +
		`"time":"2026-03-01T12:00:00.000Z","source":{"topic":"balance.requests","partition":1,"offset":7},` +
		`"deadLetter":{"topic":"balance.deadletters","partition":2,"offset":107},"key":"k",` +
		`"value":"{\"contractId\":70001,\"balanceCodes\":[\"A\"],\"requestId\":\"r\\u202e\"}","headers":[{"name":"trace","value":"t-77"},`
	if !strings.HasPrefix(string(line), want) {
		t.Errorf("got  %s\nwant %s…", line, want)
	}
	stranger := Read(&schemas.Record{Value: []byte("\xff"), Headers: []schemas.Header{{Key: "\xff"}},
		Time: time.UnixMilli(1 << 62)})
	line, err = NewDocument(stranger).JSON()
	want = `{"outcome":"not-a-dead-letter","attempts":0,"time":"146140482-04-24T15:36:27.904Z","deadLetter":{"topic":"","partition":0,"offset":0},` +
		`"key":null,"valueBase64":"/w==","headers":[{"nameBase64":"/w==","value":null}]}`
	if err != nil || string(line) != want {
		t.Errorf("error %v\ngot  %s\nwant %s", err, line, want)
	}
	line, err = encode(NewGapDocument(Gap{Partition: 2, Why: fmt.Errorf("bad \x1b[31m: %w", io.EOF)}))
	if err != nil || string(line) != `{"unreadable":{"partition":2,"from":0,"to":0,"error":"bad \u001b[31m: EOF"}}` {
		t.Errorf("error %v: %s", err, line)
	}
}

func TestCSVRow(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"{\n \"a\": \"ü\"}": encodingText, "": encodingText,
		"a\r\nb": encodingBase64, "-1": encodingBase64} {
		if cell, encoding := csvBytes([]byte(text)); encoding != want || encoding == encodingText && cell != text {
			t.Errorf("%q is %q, %s", text, cell, encoding)
		}
	}
	l := letter(7, `{"contractId":70001,"balanceCodes":["A"],"requestId":"=r\u0007"}`,
		func(d *schemas.DeadLetter) { d.Detail = "-x; send @y;=z" })
	l.Headers = append(l.Headers, schemas.Header{Key: "a", Value: []byte(";=1")})
	row, err := CSVRow(l)
	if err != nil || len(row) != len(CSVColumns) {
		t.Fatalf("%d cells for %d columns, error %v", len(row), len(CSVColumns), err)
	}
	cells := map[string]string{}
	for i, name := range CSVColumns {
		cells[name] = row[i]
	}
	want := map[string]string{
		"partition": "2", "offset": "107", "time": "2026-03-01T12:00:00.000Z", "outcome": "dead-letter",
		"reason": "contract-not-found",
		"detail": "'-x; send @y;'=z", "contract_id": "70001", "http_status": "", "attempts": "0", "first_failure": "",
		"source_topic": "balance.requests", "source_partition": "1", "source_offset": "7", "group": "balanceq",
		"key": "k", "key_encoding": "text", "value_encoding": "text",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = cells[name]
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if !strings.HasSuffix(cells["headers"], `{"name":"a","value":"\u003b=1"}]`) {
		t.Errorf("headers: %s", cells["headers"])
	}
}
