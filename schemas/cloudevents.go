package schemas

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// Headers of the CloudEvents Kafka protocol binding 1.0.2, binary mode: https://github.com/cloudevents/spec.
const (
	HeaderContentType      = "content-type"
	HeaderEventSpecVersion = "ce_specversion"
	HeaderEventID          = "ce_id"
	HeaderEventSource      = "ce_source"
	HeaderEventType        = "ce_type"
	HeaderEventTime        = "ce_time"
	HeaderEventDataSchema  = "ce_dataschema"
)

// ResultEventType is the CloudEvents type of a result.
const ResultEventType = "balanceq.balance.result.v1"

// ResultDataSchema is the CloudEvents dataschema of a result: the $id of v1/balance-result.schema.json.
const ResultDataSchema = "urn:balanceq:v1:balance-result"

const structuredMedia = "application/cloudevents+json"

// form is how a record holds its request. Events are decoded by hand, not with the CloudEvents SDK: its decoder is
// built on json-iterator, which lets duplicate members and invalid UTF-8 pass.
type form int

const (
	formPlain      form = iota // the value is the request; the headers may make it an event in binary mode
	formStructured             // the value is the event, and its data the request
	formUnreadable             // refused
)

// form finds out how the record holds its request, and takes the id of an event in binary mode.
func (r *requestReader) form(rec *Record) form {
	if len(rec.Headers) == 0 {
		return formPlain
	}
	contentType, _ := rec.Header(HeaderContentType)
	media := mediaType(contentType)
	// The content type decides (binding, section 3): a structured event may repeat its attributes as headers.
	if strings.HasPrefix(media, "application/cloudevents") {
		switch media {
		case structuredMedia:
			return formStructured
		case "application/cloudevents-batch+json":
			r.fail(HeaderContentType, "is a batch of CloudEvents; send one event per record")
		default:
			r.fail(HeaderContentType, quote(contentType)+
				" is not supported; send application/cloudevents+json or application/json")
		}
		return formUnreadable
	}
	version, isEvent := rec.Header(HeaderEventSpecVersion)
	if !isEvent {
		return formPlain
	}
	id, _ := rec.Header(HeaderEventID)
	r.takeEventID(id)
	r.checkSpecVersion(HeaderEventSpecVersion, version)
	return formPlain
}

// takeEventID keeps the event's id if it is fit to be a request id. If not, that is no reason to refuse the request.
func (r *requestReader) takeEventID(id []byte) {
	if fitsID(id) {
		r.eventID = string(id)
	}
}

func fitsID(id []byte) bool {
	return len(id) > 0 && len(id) <= MaxRequestID && utf8.Valid(id) && !hasControl(id)
}

func (r *requestReader) checkSpecVersion(field string, version []byte) {
	minor, ok := strings.CutPrefix(string(version), "1.")
	if !ok || minor == "" || leadingDigits(minor) != len(minor) {
		r.fail(field, quote(version)+" is not supported; send CloudEvents 1.0")
	}
}

// envelope reads a structured event. Its data is read where it stands, before or after the other attributes.
func (r *requestReader) envelope() error {
	if r.kind() != '{' {
		return r.wrongKind("value", "a CloudEvents object, as the content-type says")
	}
	var gotVersion bool
	var data string
	var traceparent, tracestate, dataType []byte
	err := r.members(func(name []byte) error {
		switch string(name) {
		case "specversion":
			gotVersion = true
			version, err := r.attribute("specversion")
			if version != nil {
				r.checkSpecVersion("specversion", version)
			}
			return err
		case "id":
			id, err := r.attribute("id")
			r.takeEventID(id)
			return err
		case "data", "data_base64":
			if data != "" {
				r.fail("data_base64", "appears together with data; send one of them")
				return r.skip()
			}
			if data = string(name); data == "data" {
				return r.object("data")
			}
			return r.base64Data()
		case "datacontenttype":
			if r.kind() != '"' {
				return r.skip()
			}
			text, err := r.scalar()
			if string(text) != "application/json" { // nothing to blame, and nothing to copy
				dataType = bytes.Clone(text)
			}
			return err
		case "traceparent":
			return r.optional(&traceparent)
		case "tracestate":
			return r.optional(&tracestate)
		}
		return r.skip()
	})
	if r.request.Trace.Parent == nil {
		r.request.Trace = newTrace(traceparent, tracestate)
	}
	switch {
	case err != nil:
		return err
	case !gotVersion && data == "":
		r.fail("value", "is no CloudEvent, as the content-type says; send specversion and data, or set the content-type "+
			"application/json")
	case !gotVersion:
		r.fail("specversion", "is missing; send CloudEvents 1.0")
	case data == "":
		r.fail("data", "is missing; send "+wantRequest)
	}
	r.blameType("datacontenttype", dataType, "data", "data_base64")
	return nil
}

// attribute reads a text attribute; nil if it is something else.
func (r *requestReader) attribute(name string) ([]byte, error) {
	if r.kind() != '"' {
		return nil, r.wrongKind(name, "a string")
	}
	return r.scalar()
}

// optional reads a text attribute that no request is refused for, and copies it.
func (r *requestReader) optional(to *[]byte) error {
	if r.kind() != '"' {
		return r.skip()
	}
	text, err := r.scalar()
	*to = bytes.Clone(text)
	return err
}

func (r *requestReader) base64Data() error {
	encoded, err := r.attribute("data_base64")
	if encoded == nil || err != nil {
		return err
	}
	text, err := base64.StdEncoding.Strict().AppendDecode(nil, encoded)
	if err != nil || len(text) == 0 {
		r.fail("data_base64", "is not the base64 text of a JSON object; send "+wantRequest+" as data")
		return nil //nolint:nilerr // the problem is noted; reading goes on to find the request's id
	}
	r.text("data_base64", text, "", func() error { return r.object("data_base64") })
	return nil
}
