package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/schemas"

	"github.com/go-json-experiment/json/jsontext"
)

// answer is what became of a request: a result or a dead letter.
type answer struct {
	record     *schemas.Record
	result     *schemas.Result // nil: a dead letter
	info       schemas.DeadLetterInfo
	requestID  string // as in the request, not masked
	contractID int64  // 0: not known
}

func readResult(rec *schemas.Record) (*answer, error) {
	result, err := schemas.DecodeResult(rec.Value)
	if err != nil {
		return nil, fmt.Errorf("record %s is not a result: %w", rec.Position, err)
	}
	return &answer{record: rec, result: &result, requestID: result.RequestID, contractID: result.ContractID}, nil
}

// readDeadLetter finds the ids in the request itself, which a dead letter repeats byte for byte: its headers are masked.
func readDeadLetter(rec *schemas.Record) *answer {
	l := deadletter.Read(rec)
	request, _ := l.Request() // its error is often the reason why it is a dead letter
	return &answer{record: rec, info: *l.Info(), requestID: request.ID, contractID: request.ContractID}
}

// deadLetterJSON is a dead letter as --output json shows it. Absent members are not known.
type deadLetterJSON struct {
	Outcome          string        `json:"outcome"` // always "dead-letter": what tells it from a result
	RequestID        string        `json:"requestId,omitempty"`
	ContractID       int64         `json:"contractId,omitempty,string"`
	Reason           string        `json:"reason,omitempty"`
	Detail           string        `json:"detail,omitempty"`
	HTTPStatus       int           `json:"httpStatus,omitempty"`
	CMSReasonCode    string        `json:"cmsReasonCode,omitempty"`
	Attempts         int           `json:"attempts"`
	FirstFailure     *time.Time    `json:"firstFailure,omitempty"`
	LastFailure      *time.Time    `json:"lastFailure,omitempty"`
	CorrelationID    string        `json:"correlationId,omitempty"`
	CMSCorrelationID string        `json:"cmsCorrelationId,omitempty"`
	ReplayCount      int           `json:"replayCount,omitempty"`
	Time             time.Time     `json:"time"`
	Source           *positionJSON `json:"source,omitempty"`
	DeadLetter       positionJSON  `json:"deadLetter"`
}

type positionJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// json returns the answer as one line: a result as it was read, a dead letter as a deadLetterJSON.
func (a *answer) json() ([]byte, error) {
	if a.result != nil {
		text := jsontext.Value(bytes.Clone(a.record.Value))
		if err := text.Compact(); err != nil { // cannot be: it has been decoded
			return nil, fmt.Errorf("printing result: %w", err)
		}
		return escapeUnprintable(text), nil
	}
	i := &a.info
	d := deadLetterJSON{
		Outcome: "dead-letter", RequestID: a.requestID, ContractID: a.contractID,
		Reason: string(i.Reason), Detail: i.Detail, HTTPStatus: i.HTTPStatus, CMSReasonCode: i.CMSReasonCode,
		Attempts: i.Attempts, CorrelationID: i.CorrelationID, CMSCorrelationID: i.CMSCorrelationID, ReplayCount: i.ReplayCount,
		Time: a.record.Time.UTC(), DeadLetter: positionJSON(a.record.Position),
	}
	if !i.FirstFailure.IsZero() {
		d.FirstFailure = &i.FirstFailure
	}
	if !i.LastFailure.IsZero() {
		d.LastFailure = &i.LastFailure
	}
	if i.HasSource {
		source := positionJSON(i.Source)
		d.Source = &source
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("printing dead letter: %w", err)
	}
	return escapeUnprintable(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escapeUnprintable rewrites characters without a glyph, which JSON may hold as they are and on which a terminal could act
// (C1 controls such as CSI, DEL, direction marks), as \u escapes. In compact JSON they can only be inside of strings, so
// the value stays the same.
func escapeUnprintable(text []byte) []byte {
	if !bytes.ContainsFunc(text, unprintable) {
		return text
	}
	escaped := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case !unprintable(r):
			escaped = append(escaped, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			escaped = fmt.Appendf(escaped, `\u%04x\u%04x`, high, low)
		default:
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
		text = text[size:]
	}
	return escaped
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) }
