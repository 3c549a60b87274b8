package schemas

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

var requestMembers = []string{"contractId", "balanceCodes", "requestId", "deadline"}

// What to send instead, at the end of a message.
const (
	wantRequest    = `a JSON object with contractId and balanceCodes`
	wantObject     = `the JSON object itself, with contractId and balanceCodes`
	wantContractID = `a number or a string of digits, 1 to 999999999999999999`
	wantCodes      = `an array of 1 to 100 balance codes`
	wantCode       = `a string of 1 to 32 characters`
	wantRequestID  = `a string of 1 to 256 bytes, or leave it out`
	wantDeadline   = `a string such as "2026-01-31T12:00:00Z", or leave it out`

	wantStructured = `looks like a CloudEvent in structured mode: set the header content-type: ` + structuredMedia
)

// RequestError says why a record is not a valid request. Its text is for the team that sent the record: printable,
// bounded, and without card numbers.
type RequestError struct {
	// Field is a member ("contractId", "balanceCodes[3]"), a header ("content-type"), "value": the whole record value, or
	// "record": all of it.
	Field   string
	Problem string // what is wrong with it and what to send instead
}

// Error returns "field: problem".
func (e *RequestError) Error() string { return e.Field + ": " + e.Problem }

// DecodeRequest reads a request strictly from a record's value: plain JSON, or a CloudEvents 1.x event in binary or
// structured mode. What a schema registry's serializer put before it is skipped. Unknown members are ignored, but must
// be sound JSON. requestId and deadline may be null, which means absent. Nothing in the Request but its Trace aliases
// the record.
//
// The error is a *RequestError: about the text if that is not sound JSON, else about the first thing that is wrong.
// Even then the Request has an ID: requestId if it could be read, else the CloudEvents id if it is fit to be one, else
// the record's position, or that which a replayed request had first.
func DecodeRequest(rec *Record) (Request, error) {
	var r requestReader
	r.request.Trace = ReadTrace(rec)
	r.record(rec)
	if r.request.ID == "" {
		r.request.ID = r.eventID
	}
	if r.request.ID == "" {
		r.request.ID = replaySource(rec)
	}
	if r.request.ID == "" {
		r.request.ID = rec.String()
	}
	if r.err != nil {
		return r.request, r.err
	}
	return r.request, nil
}

// requestReader reads one record. A member with a wrong value does not end the reading, so that the requestId behind it
// is still found; broken JSON does.
type requestReader struct {
	*decoder
	request  Request
	eventID  string // of the CloudEvents envelope, if fit to be a request id
	err      *RequestError
	gotID    bool // contractId is there, right or wrong
	gotCodes bool
	missed   missed
}

// fail keeps the first problem.
func (r *requestReader) fail(field, problem string) {
	if r.err == nil {
		r.err = &RequestError{Field: field, Problem: problem}
	}
}

func (r *requestReader) record(rec *Record) {
	form := r.form(rec)
	switch {
	case rec.Oversized != nil:
		r.fail("record", "is too large to be read: "+rec.Oversized.Why)
		return
	case form == formUnreadable:
		return
	case rec.Value == nil:
		r.fail("value", "is null; send "+wantRequest)
		return
	case len(rec.Value) == 0:
		r.fail("value", "is empty; send "+wantRequest)
		return
	case len(rec.Value) > MaxRequestSize:
		r.fail("value", "has "+strconv.Itoa(len(rec.Value))+" bytes; send at most "+strconv.Itoa(MaxRequestSize))
		return
	}
	r.value(form, Unframe(rec.Value), rec)
	if id, framed := SchemaID(rec.Value); framed {
		r.blameFrame(id)
	}
	if r.err != nil {
		contentType, _ := rec.Header(HeaderContentType)
		r.blameType(HeaderContentType, contentType, "value")
		r.blameHeader(rec)
	}
}

func (r *requestReader) value(form form, text []byte, rec *Record) {
	if form == formStructured {
		r.text("value", text, "/data", r.envelope)
	} else {
		r.text("value", text, "", func() error { return r.object("value") })
	}
	if form == formPlain && r.inEnvelope() {
		problem := wantStructured
		if other := rec.otherCase(HeaderContentType); other != "" {
			problem += " (it has " + quote([]byte(other)) + ": names of headers are case-sensitive)"
		}
		r.fail("value", problem)
		refusal := r.err
		r.text("value", text, "/data", r.envelope) // for the id that its publisher knows it by
		r.err = refusal
		return
	}
	if !r.gotID {
		r.missing("contractId", r.missed.contractID.name, wantContractID)
	}
	if !r.gotCodes {
		r.missing("balanceCodes", r.missed.balanceCodes.name, wantCodes)
	}
}

// text reads a whole JSON text, called whole in messages, in which the request is the object at root.
func (r *requestReader) text(whole string, text []byte, root jsontext.Pointer, read func() error) {
	outer := r.decoder
	r.decoder = openDecoder(text)
	err := read()
	if err == nil {
		err = r.end()
	}
	if err != nil {
		problem := explain(err)
		if name, object, ok := duplicate(err); ok && object == root && slices.Contains(requestMembers, name) {
			whole, problem = name, "appears twice; send it once"
			if name == "requestId" {
				r.request.ID = "" // neither is the one
			}
		}
		r.err = &RequestError{Field: whole, Problem: problem} // weighs more than what a member says: 007 is not 0
	}
	r.close()
	r.decoder = outer
}

func (r *requestReader) missing(field, misnamed, want string) {
	problem := "is missing; send " + want
	if misnamed != "" {
		problem += " (it has " + quote([]byte(misnamed)) + ": did you mean " + field + "?)"
	}
	r.fail(field, problem)
}

// wrongKind skips a value of a kind that field cannot have.
func (r *requestReader) wrongKind(field, want string) error {
	kind := r.kind()
	if err := r.skip(); err != nil {
		return err
	}
	r.fail(field, "is "+kindName(kind)+"; send "+want)
	return nil
}

// object reads the request itself; field is its name in a message.
func (r *requestReader) object(field string) error {
	switch r.kind() {
	case '{':
	case '"': // what has been made text twice
		return r.wrongKind(field, wantObject)
	default:
		return r.wrongKind(field, wantRequest)
	}
	return r.members(func(name []byte) error {
		switch string(name) {
		case "contractId":
			return r.contractID()
		case "balanceCodes":
			return r.balanceCodes()
		case "requestId":
			return r.requestID()
		case "deadline":
			return r.deadline()
		}
		r.unknown(name)
		return r.skip()
	})
}
