package schemas

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Whatever a record holds, decoding does not panic; a refusal is a printable *RequestError that names a field, and the
// request has a usable id; what is accepted is written and read again as the same request.
func FuzzDecodeRequest(f *testing.F) {
	for _, folder := range []string{"requests", "requests-invalid"} {
		for _, text := range examples(f, folder) {
			f.Add(text, "", "", "")
			f.Add(text, "", "1.0", "event-1")
		}
	}
	for _, text := range examples(f, "cloudevents") {
		f.Add(text, "application/cloudevents+json", "", "")
	}
	for _, text := range framedSeeds {
		f.Add([]byte(text), "", "", "")
		f.Add([]byte(text), "application/cloudevents+json", "", "")
	}
	f.Fuzz(func(t *testing.T, value []byte, contentType, specVersion, eventID string) {
		rec := &Record{Position: position, Value: value}
		for name, text := range map[string]string{
			HeaderContentType: contentType, HeaderEventSpecVersion: specVersion, HeaderEventID: eventID,
		} {
			if text != "" {
				rec.Headers = append(rec.Headers, Header{Key: name, Value: []byte(text)})
			}
		}
		before := string(value)
		request, err := DecodeRequest(rec)
		if string(value) != before {
			t.Fatal("the record's value was changed")
		}
		id := request.ID
		if id == "" || len(id) > MaxRequestID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
			t.Fatalf("ID = %q", id)
		}
		if err != nil {
			checkRefusal(t, err)
			return
		}
		request.Trace = Trace{} // no member of a request
		again, err := DecodeRequest(&Record{Value: request.AppendJSON(nil)})
		if err != nil {
			t.Fatalf("written again: %v\n%s", err, request.AppendJSON(nil))
		}
		if !reflect.DeepEqual(again, request) {
			t.Fatalf("got  %+v\nwant %+v", again, request)
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	refusal, ok := errors.AsType[*RequestError](err)
	if !ok || refusal.Field == "" || refusal.Problem == "" {
		t.Fatalf("error %#v", err)
	}
	if i := strings.IndexFunc(err.Error(), func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
		t.Fatalf("not printable at %d: %q", i, err)
	}
	// The longest quotation is maxQuoted bytes, each written as four (\x00), between texts of our own.
	if len(err.Error()) > 600 {
		t.Fatalf("%d bytes: %s", len(err.Error()), err)
	}
	if err.Error() != Mask(err.Error()) {
		t.Fatalf("a card number in %q", err)
	}
}
