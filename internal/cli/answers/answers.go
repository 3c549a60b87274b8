// Package answers reads what became of requests, results and dead letters, from their topics, and writes each as a
// line.
package answers

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// Answer is what became of a request: a result or a dead letter.
type Answer struct {
	Result     *schemas.Result    // nil: a dead letter
	Letter     *deadletter.Letter // nil: a result
	RequestID  string             // as in the request, not masked
	ContractID int64              // 0: not known
	value      []byte             // of the result's record
}

// Read reads a record of the results or the dead letters topic.
func Read(rec *schemas.Record, topics config.Topics) (*Answer, error) {
	if rec.Topic == topics.DeadLetters {
		return OfLetter(deadletter.Read(rec)), nil
	}
	result, err := schemas.DecodeResult(rec.Value)
	if err != nil {
		return nil, fmt.Errorf("record %s is not a result: %w", rec.Position, err)
	}
	return OfResult(&result, schemas.Unframe(rec.Value)), nil
}

// OfResult is a result as an answer. value is its JSON.
func OfResult(r *schemas.Result, value []byte) *Answer {
	return &Answer{Result: r, RequestID: r.RequestID, ContractID: r.ContractID, value: value}
}

// OfLetter is a dead letter as an answer. The ids are those of the request itself, which a dead letter repeats byte for
// byte: in its headers they are masked.
func OfLetter(l *deadletter.Letter) *Answer {
	request, _ := l.Request() // its error is often the reason why it is a dead letter
	return &Answer{Letter: l, RequestID: request.ID, ContractID: request.ContractID}
}

// json returns the answer as one line: a result as it was read, a dead letter as its summary.
func (a *Answer) json() ([]byte, error) {
	if a.Letter != nil {
		return printable.JSON(deadletter.NewSummary(a.Letter))
	}
	text := jsontext.Value(bytes.Clone(a.value))
	if err := text.Compact(); err != nil { // cannot be: it has been decoded
		return nil, fmt.Errorf("printing result: %w", err)
	}
	return printable.EscapeJSON(text), nil
}
