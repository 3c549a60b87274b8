package schemas

import (
	"encoding/base64"
	"reflect"
	"testing"
)

const (
	plain      = `{"contractId":"70001","balanceCodes":["AVAILABLE"]}`
	structured = "application/cloudevents+json"
)

func TestDecodeEvent(t *testing.T) {
	request := func(id string) Request {
		return Request{ID: id, ContractID: 70001, BalanceCodes: []string{"AVAILABLE"}}
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(plain))
	tests := map[string]struct {
		rec  *Record
		want Request
	}{
		"binary": {record(plain, "ce_specversion", "1.0", "ce_id", "event-1", "content-type", "application/json"),
			request("event-1")},
		"binary, a later 1.x":   {record(plain, "ce_specversion", "1.12", "ce_id", "event-1"), request("event-1")},
		"binary, without id":    {record(plain, "ce_specversion", "1.0"), request(position.String())},
		"binary, empty id":      {record(plain, "ce_specversion", "1.0", "ce_id", ""), request(position.String())},
		"binary, control in id": {record(plain, "ce_specversion", "1.0", "ce_id", "a\n"), request(position.String())},
		"binary, id not UTF-8":  {record(plain, "ce_specversion", "1.0", "ce_id", "a\xff"), request(position.String())},
		"not an event": {record(plain, "ce_id", "event-1", "content-type", "text/plain"),
			request(position.String())},
		"last header counts": {record(plain, "ce_specversion", "1.0", "ce_id", "old", "ce_id", "new"), request("new")},
		"requestId before event id": {record(`{"requestId":"r-1",`+plain[1:], "ce_specversion", "1.0", "ce_id", "event-1"),
			request("r-1")},

		"structured": {record(`{"specversion":"1.0","id":"event-1","data":`+plain+`}`, "content-type", structured),
			request("event-1")},
		"structured, data first": {record(`{"data":`+plain+`,"id":"event-1","specversion":"1.0"}`, "content-type",
			structured),
			request("event-1")},
		"structured, base64": {record(`{"specversion":"1.0","id":"event-1","data_base64":"`+encoded+`"}`, "content-type",
			structured),
			request("event-1")},
		"structured, parameters": {record(`{"specversion":"1.0","id":"event-1","data":`+plain+`}`, "content-type",
			"Application/CloudEvents+JSON; charset=UTF-8"),
			request("event-1")},
		"structured, with attributes as headers": {record(`{"specversion":"1.0","id":"event-1","data":`+plain+`}`,
			"content-type", structured, "ce_specversion", "1.0", "ce_id", "event-1"), request("event-1")},
		"structured, extensions": {record(`{"specversion":"1.0","id":"event-1","traceparent":"00-1-1-00","n":1,"data":`+plain+
			`}`,
			"content-type", structured), request("event-1")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(test.rec)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	event := func(members string) *Record {
		return record(`{"specversion":"1.0","id":"event-1",`+members+`}`, "content-type", structured)
	}
	tests := map[string]struct {
		rec      *Record
		want, id string
	}{
		"batch": {record(`[]`, "content-type", "application/cloudevents-batch+json"),
			`content-type: is a batch of CloudEvents; send one event per record`, ""},
		"other format": {record(`x`, "content-type", "application/cloudevents+avro"),
			`content-type: "application/cloudevents+avro" is not supported; send application/cloudevents+json or application/json`, ""},
		"binary of version 0.3": {record(plain, "ce_specversion", "0.3", "ce_id", "event-1"),
			`ce_specversion: "0.3" is not supported; send CloudEvents 1.0`, "event-1"},
		"binary of version 1.": {record(plain, "ce_specversion", "1.", "ce_id", "event-1"),
			`ce_specversion: "1." is not supported; send CloudEvents 1.0`, "event-1"},
		"version 1.0x": {record(plain, "ce_specversion", "1.0x"),
			`ce_specversion: "1.0x" is not supported; send CloudEvents 1.0`, ""},
		"version 10": {record(`{"specversion":"10","id":"event-1","data":`+plain+`}`, "content-type", structured),
			`specversion: "10" is not supported; send CloudEvents 1.0`, "event-1"},
		"no version": {record(`{"id":"event-1","data":`+plain+`}`, "content-type", structured),
			`specversion: is missing; send CloudEvents 1.0`, "event-1"},
		"number as version": {record(`{"specversion":1.0,"id":"event-1","data":`+plain+`}`, "content-type", structured),
			`specversion: is a number; send a string`, "event-1"},
		"number as id": {record(`{"specversion":"1.0","id":7,"data":`+plain+`}`, "content-type", structured),
			`id: is a number; send a string`, ""},
		"array": {record(`[]`, "content-type", structured),
			`value: is an array; send a CloudEvents object, as the content-type says`, ""},
		"no data":     {event(`"x":1`), `data: is missing; send ` + wantRequest, "event-1"},
		"null data":   {event(`"data":null`), `data: is null; send ` + wantRequest, "event-1"},
		"string data": {event(`"data":"{}"`), `data: is a string; send ` + wantObject, "event-1"},
		"data twice": {event(`"data":` + plain + `,"data":` + plain),
			`value: has the member "data" twice in one object; send it once`, "event-1"},
		"both kinds of data": {event(`"data":` + plain + `,"data_base64":"` + b64(plain) + `"`),
			`data_base64: appears together with data; send one of them`, "event-1"},
		"wrong member of data": {event(`"data":{"contractId":true,"balanceCodes":["A"],"requestId":"r-1"}`),
			`contractId: is a boolean; send ` + wantContractID, "r-1"},
		"duplicate member of data": {event(`"data":{"contractId":"1","contractId":"2"}`),
			`contractId: appears twice; send it once`, "event-1"},
		"duplicate beside data": {event(`"contractId":"1","contractId":"2"`),
			`value: has the member "contractId" twice in one object; send it once`, "event-1"},
		"request beside data": {event(`"contractId":"1","balanceCodes":["A"]`), `data: is missing; send ` + wantRequest,
			"event-1"},
		"number as base64": {event(`"data_base64":7`), `data_base64: is a number; send a string`, "event-1"},
		"broken base64": {event(`"data_base64":"e30"`),
			`data_base64: is not the base64 text of a JSON object; send ` + wantRequest + ` as data`, "event-1"},
		"empty base64": {event(`"data_base64":""`),
			`data_base64: is not the base64 text of a JSON object; send ` + wantRequest + ` as data`, "event-1"},
		"base64 of an array": {event(`"data_base64":"` + b64(`[]`) + `"`), `data_base64: is an array; send ` + wantRequest,
			"event-1"},
		"base64 of broken JSON": {event(`"data_base64":"` + b64(`{"requestId":"r-1",`) + `"`),
			`data_base64: is not complete JSON: it ends at byte 19`, "r-1"},
		"base64 with more behind": {event(`"data_base64":"` + b64(plain+plain) + `"`),
			`data_base64: has more after the JSON value; send one JSON value`, "event-1"},
		"base64 with a duplicate": {event(`"data_base64":"` + b64(`{"contractId":"1","contractId":"2"}`) + `"`),
			`contractId: appears twice; send it once`, "event-1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeRequest(test.rec)
			wantRequestError(t, err, test.want)
			want := test.id
			if want == "" {
				want = position.String()
			}
			if got.ID != want {
				t.Errorf("ID = %q, want %q", got.ID, want)
			}
		})
	}
}
