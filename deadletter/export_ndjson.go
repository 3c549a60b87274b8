package deadletter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/balanceq/balanceq/schemas"
)

// What a Document is of.
const (
	OutcomeDeadLetter = "dead-letter"
	OutcomeNone       = "not-a-dead-letter" // a record without any header of a dead letter
)

// Document is a record of the dead-letter topic as JSON, one a line in an export. What its headers say comes first, cleaned and
// masked as in Letter.Info, and absent where they do not; the ids are the request's own. Key, value and headers follow as they
// are: text that is UTF-8 as a string, other bytes in base64 (RFC 4648 §4) as the member with Base64 at its end, null as null.
// Characters without a glyph are escapes, so that none acts on a terminal; no value changes by that.
type Document struct {
	Outcome          string            `json:"outcome"`
	RequestID        text              `json:"requestId,omitempty"`
	ContractID       int64             `json:"contractId,omitempty,string"`
	Reason           string            `json:"reason,omitempty"`
	Detail           string            `json:"detail,omitempty"`
	HTTPStatus       int               `json:"httpStatus,omitempty"`
	CMSReasonCode    string            `json:"cmsReasonCode,omitempty"`
	Attempts         int               `json:"attempts"`
	FirstFailure     string            `json:"firstFailure,omitempty"`
	LastFailure      string            `json:"lastFailure,omitempty"`
	CorrelationID    string            `json:"correlationId,omitempty"`
	CMSCorrelationID string            `json:"cmsCorrelationId,omitempty"`
	ReplayCount      int               `json:"replayCount,omitempty"`
	Group            string            `json:"group,omitempty"`
	Instance         string            `json:"instance,omitempty"`
	Version          string            `json:"version,omitempty"`
	Time             string            `json:"time"` // as FormatTime
	Source           *schemas.Position `json:"source,omitempty"`
	DeadLetter       schemas.Position  `json:"deadLetter"`
	Key              json.RawMessage   `json:"key,omitempty"`
	KeyBase64        []byte            `json:"keyBase64,omitempty"`
	Value            json.RawMessage   `json:"value,omitempty"`
	ValueBase64      []byte            `json:"valueBase64,omitempty"`
	Headers          []documentHeader  `json:"headers"` // in their order; names may repeat
	Advice           *DocumentAdvice   `json:"advice,omitempty"`
}

// DocumentAdvice is what to know and to do about a dead letter. Exports have none.
type DocumentAdvice struct {
	Means    string   `json:"means"`
	Look     string   `json:"look"`
	Do       string   `json:"do"`
	Commands []string `json:"commands,omitempty"`
}

type documentHeader struct {
	Name        json.RawMessage `json:"name,omitempty"`
	NameBase64  []byte          `json:"nameBase64,omitempty"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 []byte          `json:"valueBase64,omitempty"`
}

// NewDocument describes a record. It aliases the letter.
func NewDocument(l *Letter) *Document {
	info := l.Info()
	request, _ := l.Request() // of an invalid one, what could be read
	d := &Document{
		Outcome: OutcomeDeadLetter, RequestID: text(request.ID), ContractID: request.ContractID,
		Reason: string(info.Reason), Detail: info.Detail, HTTPStatus: info.HTTPStatus, CMSReasonCode: info.CMSReasonCode,
		Attempts: info.Attempts, FirstFailure: formatTime(info.FirstFailure), LastFailure: formatTime(info.LastFailure),
		CorrelationID: info.CorrelationID, CMSCorrelationID: info.CMSCorrelationID, ReplayCount: info.ReplayCount,
		Group: info.Origin.Group, Instance: info.Origin.Instance, Version: info.Origin.Version,
		Time: FormatTime(l.Time), DeadLetter: l.Position, Headers: documentHeaders(l.Headers),
	}
	if !l.Recognised() {
		d.Outcome = OutcomeNone
	}
	if info.HasSource {
		source := info.Source
		d.Source = &source
	}
	d.Key, d.KeyBase64 = documentBytes(l.Key)
	d.Value, d.ValueBase64 = documentBytes(l.Value)
	return d
}

func documentHeaders(headers []schemas.Header) []documentHeader {
	list := make([]documentHeader, len(headers))
	for i, h := range headers {
		list[i].Name, list[i].NameBase64 = documentBytes([]byte(h.Key))
		list[i].Value, list[i].ValueBase64 = documentBytes(h.Value)
	}
	return list
}

// documentBytes returns bytes as JSON text or, where that cannot hold them, as they are, to become base64.
func documentBytes(b []byte) (json.RawMessage, []byte) {
	switch {
	case b == nil:
		return json.RawMessage("null"), nil
	case utf8.Valid(b):
		return text(b).json(), nil
	}
	return nil, b
}

// JSON returns the document as one line, without the line's end.
func (d *Document) JSON() ([]byte, error) { return line(d) }

// GapJSON is the line of an export in the place of dead letters that cannot be read: the offsets from From up to To, To not
// included.
func GapJSON(g Gap) ([]byte, error) {
	type unreadable struct {
		Partition int32 `json:"partition"`
		From      int64 `json:"from"`
		To        int64 `json:"to"`
		Error     text  `json:"error"`
	}
	return line(struct {
		Unreadable unreadable `json:"unreadable"`
	}{unreadable{g.Partition, g.From, g.To, text(g.Why.Error())}})
}

func line(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding dead letter: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// FormatTime is RFC 3339 in UTC with milliseconds, which is what Kafka keeps. A time stamp that another writer has set may lie
// in a year that RFC 3339 does not know; then it has more digits.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// formatTime leaves out what is absent.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return FormatTime(t)
}

// text is a JSON string of which nothing acts on a terminal: characters without a glyph (control and format characters, line
// separators) are escapes. It must be UTF-8.
type text string

// MarshalJSON implements json.Marshaler.
func (s text) MarshalJSON() ([]byte, error) { return s.json(), nil }

func (s text) json() []byte {
	b := append(make([]byte, 0, len(s)+2), '"')
	for _, r := range string(s) {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case unicode.IsGraphic(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return append(b, '"')
}
