// Package answers reads what became of requests, results and dead letters, from their topics, and writes each as a line.
package answers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"

	"github.com/go-json-experiment/json/jsontext"
)

// Answer is what became of a request: a result or a dead letter.
type Answer struct {
	record     *schemas.Record
	Result     *schemas.Result // nil: a dead letter
	info       schemas.DeadLetterInfo
	RequestID  string // as in the request, not masked
	ContractID int64  // 0: not known
}

// Read reads a record of the results or the dead letters topic.
func Read(rec *schemas.Record, topics config.Topics) (*Answer, error) {
	if rec.Topic == topics.DeadLetters {
		return ReadDeadLetter(rec), nil
	}
	return readResult(rec)
}

func readResult(rec *schemas.Record) (*Answer, error) {
	result, err := schemas.DecodeResult(rec.Value)
	if err != nil {
		return nil, fmt.Errorf("record %s is not a result: %w", rec.Position, err)
	}
	return &Answer{record: rec, Result: &result, RequestID: result.RequestID, ContractID: result.ContractID}, nil
}

// ReadDeadLetter finds the ids in the request itself, which a dead letter repeats byte for byte: its headers are masked.
func ReadDeadLetter(rec *schemas.Record) *Answer {
	l := deadletter.Read(rec)
	request, _ := l.Request() // its error is often the reason why it is a dead letter
	return &Answer{record: rec, info: *l.Info(), RequestID: request.ID, ContractID: request.ContractID}
}

// DeadLetterJSON is a dead letter as --output json shows it. Absent members are not known.
type DeadLetterJSON struct {
	Outcome          string            `json:"outcome"` // always "dead-letter": what tells it from a result
	RequestID        string            `json:"requestId,omitempty"`
	ContractID       int64             `json:"contractId,omitempty,string"`
	Reason           string            `json:"reason,omitempty"`
	Detail           string            `json:"detail,omitempty"`
	HTTPStatus       int               `json:"httpStatus,omitempty"`
	CMSReasonCode    string            `json:"cmsReasonCode,omitempty"`
	Attempts         int               `json:"attempts"`
	FirstFailure     *time.Time        `json:"firstFailure,omitempty"`
	LastFailure      *time.Time        `json:"lastFailure,omitempty"`
	CorrelationID    string            `json:"correlationId,omitempty"`
	CMSCorrelationID string            `json:"cmsCorrelationId,omitempty"`
	ReplayCount      int               `json:"replayCount,omitempty"`
	Time             time.Time         `json:"time"`
	Source           *schemas.Position `json:"source,omitempty"`
	DeadLetter       schemas.Position  `json:"deadLetter"`
}

// Encode returns the answer as one line: a result as it was read, a dead letter as a deadLetterJSON.
func (a *Answer) Encode() ([]byte, error) {
	if a.Result != nil {
		text := jsontext.Value(bytes.Clone(a.record.Value))
		if err := text.Compact(); err != nil { // cannot be: it has been decoded
			return nil, fmt.Errorf("printing result: %w", err)
		}
		return term.EscapeJSON(text), nil
	}
	i := &a.info
	d := DeadLetterJSON{
		Outcome: "dead-letter", RequestID: a.RequestID, ContractID: a.ContractID,
		Reason: string(i.Reason), Detail: i.Detail, HTTPStatus: i.HTTPStatus, CMSReasonCode: i.CMSReasonCode,
		Attempts: i.Attempts, CorrelationID: i.CorrelationID, CMSCorrelationID: i.CMSCorrelationID, ReplayCount: i.ReplayCount,
		Time: a.record.Time.UTC(), DeadLetter: a.record.Position,
	}
	if !i.FirstFailure.IsZero() {
		d.FirstFailure = &i.FirstFailure
	}
	if !i.LastFailure.IsZero() {
		d.LastFailure = &i.LastFailure
	}
	if i.HasSource {
		source := i.Source
		d.Source = &source
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("printing dead letter: %w", err)
	}
	return term.EscapeJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
