package schemas

import (
	"encoding/base64"
	"strings"
	"testing"
)

// What cannot be read is refused with what its content type says it is, where that is not JSON in UTF-8.
func TestContentTypeIsBlamed(t *testing.T) {
	const xml, notJSON = `<balance/>`, `is not valid JSON at byte 0: invalid character '<' at start of value`
	event := func(members string) *Record {
		return record(`{"specversion":"1.0","id":"event-1",`+members+`}`, HeaderContentType, structured)
	}
	tests := map[string]struct {
		rec  *Record
		want string
	}{
		"nothing said": {record(xml), `value: ` + notJSON},
		"JSON":         {record(xml, HeaderContentType, "application/json"), `value: ` + notJSON},
		"JSON in UTF-8": {record(xml, HeaderContentType, "Application/JSON; Charset=\"UTF-8\""),
			`value: ` + notJSON},
		"a kind of JSON": {record(xml, HeaderContentType, "application/vnd.example.v2+json;charset=utf8"), `value: ` + notJSON},
		"XML": {record(xml, HeaderContentType, "application/xml"),
			`value: ` + notJSON + ` (its content-type is "application/xml"; send JSON in UTF-8)`},
		"an event of XML": {record(xml, HeaderContentType, "application/xml", HeaderEventSpecVersion, "1.0"),
			`value: ` + notJSON + ` (its content-type is "application/xml"; send JSON in UTF-8)`},
		"no content type": {record(xml, HeaderContentType, "\xff;;"),
			`value: ` + notJSON + ` (its content-type is "�;;"; send JSON in UTF-8)`},
		"Latin-1": {record("{\"contractId\":\"\xe4\"}", HeaderContentType, "application/json; charset=ISO-8859-1"),
			`value: is not valid JSON at byte 15: invalid UTF-8 (its content-type is "application/json; charset=ISO-8859-1"; ` +
				`send JSON in UTF-8)`},
		"a structured one in UTF-16": {record("{\x00", HeaderContentType, structured+"; charset=utf-16le"),
			`value: is not valid JSON at byte 1: invalid character '\x00' at start of value (its content-type ` +
				`is "application/cloudevents+json; charset=utf-16le"; send JSON in UTF-8)`},
		"Avro in a frame": {record("\x00\x00\x00\x00\x07\x02", HeaderContentType, "avro/binary"),
			`value: is framed as schema id 7; send JSON behind that: it is not valid JSON at byte 0: invalid character '\x02' ` +
				`at start of value (its content-type is "avro/binary"; send JSON in UTF-8)`},
		"null": {&Record{Headers: []Header{{Key: HeaderEventSpecVersion, Value: []byte("1.0")},
			{Key: HeaderContentType, Value: []byte("application/xml")}}}, `value: is null; send ` + wantRequest},
		"a wrong member": {record(`{"contractId":true}`, HeaderContentType, "application/xml"),
			`contractId: is a boolean; send ` + wantContractID},

		"data of XML": {event(`"datacontenttype":"application/xml","data":"<balance/>"`),
			`data: is a string; send ` + wantObject + ` (its datacontenttype is "application/xml"; send JSON in UTF-8)`},
		"data before its type": {event(`"data":["x"],"datacontenttype":"text/csv"`),
			`data: is an array; send ` + wantRequest + ` (its datacontenttype is "text/csv"; send JSON in UTF-8)`},
		"data_base64 of XML": {event(`"datacontenttype":"text/xml","data_base64":"` +
			base64.StdEncoding.EncodeToString([]byte(xml)) + `"`),
			`data_base64: ` + notJSON + ` (its datacontenttype is "text/xml"; send JSON in UTF-8)`},
		"text of JSON": {event(`"datacontenttype":"application/json","data":"{\"contractId\":\"1\"}"`),
			`data: is a string; send ` + wantObject},
		"made text twice": {record(`"{\"contractId\":\"1\"}"`), `value: is a string; send ` + wantObject},
		"the data as a structured event": {record(plain, HeaderContentType, structured),
			`value: is no CloudEvent, as the content-type says; send specversion and data, or set the content-type ` +
				`application/json`},
		"a name of a header in another case": {record(`{"specversion":"1.0","id":"event-1","data":`+plain+`}`,
			"Content-Type", structured), `value: ` + wantStructured +
			` (it has "Content-Type": names of headers are case-sensitive)`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeRequest(test.rec)
			wantRequestError(t, err, test.want)
			checkRefusal(t, err)
		})
	}
}

// A content type, an attribute or an extension that is odd is no reason to refuse a request that can be read.
func TestOddAttributesAreAccepted(t *testing.T) {
	tests := map[string]struct {
		rec *Record
		id  string
	}{
		"another content type": {record(plain, HeaderEventSpecVersion, "1.0", HeaderEventID, "e", HeaderContentType,
			"application/xml"), "e"},
		"no content type": {record(plain, HeaderEventSpecVersion, "1.0", HeaderEventID, "e", HeaderContentType, ""), "e"},
		"an id that looks encoded": {record(plain, HeaderEventSpecVersion, "1.0", HeaderEventID, "a%20b"),
			"a%20b"}, // values of headers are UTF-8 as they are, unlike those of HTTP
		"an id in UTF-8": {record(plain, HeaderEventSpecVersion, "1.0", HeaderEventID, "Übertrag/€"), "Übertrag/€"},
		"attributes that are none": {record(plain, HeaderEventSpecVersion, "1.0", HeaderEventID, "e", "ce_time", "yesterday",
			"ce_source", "", "ce_type", "\xff", "ce_My-Extension", "x", "ce_", "x", "CE_ID", "other", "ce-id", "other"), "e"},
		"structured extensions": {record(`{"specversion":"1.0","id":"e","My_Extension":{"a":[1]},"":null,"time":7,"source":null,`+
			`"type":false,"datacontenttype":null,"partitionkey":70002,"data":`+plain+`}`, HeaderContentType, structured), "e"},
		"structured, of another type": {record(`{"specversion":"1.0","id":"e","datacontenttype":"text/plain","data":`+plain+`}`,
			HeaderContentType, "APPLICATION/CLOUDEVENTS+JSON;charset=\"utf-8\""), "e"},
		"structured, an id in UTF-8": {record(`{"specversion":"1.0","id":"\u20ac","data":`+plain+`}`, HeaderContentType,
			" application/cloudevents+json "), "€"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(test.rec)
			if err != nil || got.ID != test.id || got.ContractID != 70001 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// Events are told what mode they are in by the content type alone, and which kinds of events are none of balanceq's.
func TestUnsupportedEvents(t *testing.T) {
	for contentType, want := range map[string]string{
		"application/cloudevents-batch+json":               "is a batch of CloudEvents; send one event per record",
		"Application/CloudEvents-Batch+JSON;charset=utf-8": "is a batch of CloudEvents; send one event per record",
		"application/cloudevents": `"application/cloudevents" is not supported; send application/cloudevents+json or ` +
			`application/json`,
		"application/cloudevents+protobuf": `"application/cloudevents+protobuf" is not supported; send ` +
			`application/cloudevents+json or application/json`,
	} {
		_, err := DecodeRequest(record(`[]`, HeaderContentType, contentType, HeaderEventSpecVersion, "1.0"))
		wantRequestError(t, err, HeaderContentType+": "+want)
		if strings.Contains(err.Error(), "its content-type") {
			t.Errorf("says it twice: %v", err)
		}
	}
}
