package deadletter

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// What a Summary is of.
const (
	OutcomeDeadLetter = "dead-letter"
	OutcomeNone       = "not-a-dead-letter" // a record without any header of a dead letter
)

// Summary is what is known of a record of the dead-letter topic, as JSON: what its headers say, cleaned and masked as
// in Letter.Info, and absent where they do not; the ids are the request's own. Times are those of schemas.FormatTime.
type Summary struct {
	Outcome          string            `json:"outcome"`
	RequestID        string            `json:"requestId,omitempty"`
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
	Time             string            `json:"time"`
	Source           *schemas.Position `json:"source,omitempty"`
	DeadLetter       schemas.Position  `json:"deadLetter"`
}

// Document is a record of the dead-letter topic with all it holds, as JSON: its summary, then key, value and headers as
// they are: text that is UTF-8 as a string, other bytes in base64 (RFC 4648 §4) as the member with Base64 at its end,
// null as null.
type Document struct {
	Summary
	Key         json.RawMessage  `json:"key,omitempty"`
	KeyBase64   []byte           `json:"keyBase64,omitempty"`
	Value       json.RawMessage  `json:"value,omitempty"`
	ValueBase64 []byte           `json:"valueBase64,omitempty"`
	Headers     []documentHeader `json:"headers"` // in their order; names may repeat
	Advice      *DocumentAdvice  `json:"advice,omitempty"`
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

// NewSummary describes a record without its bytes.
func NewSummary(l *Letter) Summary {
	info := l.Info()
	request, _ := l.Request() // of an invalid one, what could be read
	s := Summary{
		Outcome: OutcomeDeadLetter, RequestID: request.ID, ContractID: request.ContractID,
		Reason: string(info.Reason), Detail: info.Detail, HTTPStatus: info.HTTPStatus, CMSReasonCode: info.CMSReasonCode,
		Attempts: info.Attempts, FirstFailure: formatTime(info.FirstFailure), LastFailure: formatTime(info.LastFailure),
		CorrelationID: info.CorrelationID, CMSCorrelationID: info.CMSCorrelationID, ReplayCount: info.ReplayCount,
		Group: info.Origin.Group, Instance: info.Origin.Instance, Version: info.Origin.Version,
		Time: schemas.FormatTime(l.Time), DeadLetter: l.Position,
	}
	if !l.Recognised() {
		s.Outcome = OutcomeNone
	}
	if info.HasSource {
		s.Source = &info.Source
	}
	return s
}

// formatTime leaves out what is absent.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return schemas.FormatTime(t)
}

// NewDocument describes a record with all it holds. It aliases the letter.
func NewDocument(l *Letter) *Document {
	d := &Document{Summary: NewSummary(l), Headers: documentHeaders(l.Headers)}
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
		quoted, _ := jsontext.AppendQuote(make([]byte, 0, len(b)+2), b) // fails only for what is not UTF-8
		return json.RawMessage(quoted), nil
	}
	return nil, b
}

// JSON returns the document as one line of which nothing acts on a terminal, without the line's end.
func (d *Document) JSON() ([]byte, error) { return encode(d) }

// GapDocument stands, as JSON, between the documents of an export where dead letters cannot be read.
type GapDocument struct {
	Unreadable struct {
		Partition int32  `json:"partition"`
		From      int64  `json:"from"`
		To        int64  `json:"to"` // not included
		Error     string `json:"error"`
	} `json:"unreadable"`
}

// NewGapDocument describes a gap.
func NewGapDocument(g Gap) *GapDocument {
	d := &GapDocument{}
	d.Unreadable.Partition, d.Unreadable.From, d.Unreadable.To = g.Partition, g.From, g.To
	d.Unreadable.Error = g.Why.Error()
	return d
}

func encode(v any) ([]byte, error) {
	text, err := printable.JSON(v)
	if err != nil {
		return nil, fmt.Errorf("encoding dead letter: %w", err)
	}
	return text, nil
}
