package demo

import (
	"strings"
	"testing"

	"github.com/balanceq/balanceq/schemas"
)

// What cannot be understood is an error of the check, not an answer that is left out.
func TestUnreadableAnswers(t *testing.T) {
	rec := &schemas.Record{Position: requestAt(7), Value: []byte(`{"outcome":"complete"}`)}
	if a, err := readResult(rec); err == nil || !strings.Contains(err.Error(), "requests/1/7") {
		t.Errorf("result: %+v, %v", a, err)
	}
	if a, err := readDeadLetter(rec); err == nil || !strings.Contains(err.Error(), "requests/1/7") {
		t.Errorf("dead letter: %+v, %v", a, err)
	}
}

func TestReadAnswers(t *testing.T) {
	q, message := newMix().next(noon, true)
	asked := &schemas.Record{Position: requestAt(3), Key: message.Key, Value: message.Value, Headers: message.Headers}
	d := schemas.DeadLetter{Record: asked, Reason: schemas.ReasonExpired, RequestID: q.id, DecidedAt: noon}
	m := d.Message(schemas.Origin{Group: "g"})
	dead, err := readDeadLetter(&schemas.Record{Value: m.Value, Headers: m.Headers, Time: m.Time})
	if err != nil || dead.source != asked.Position || dead.id != q.id || dead.reason != schemas.ReasonExpired ||
		!dead.time.Equal(noon) {
		t.Errorf("%+v, %v", dead, err)
	}
	r := schemas.Result{
		RequestID: q.id, ContractID: q.contract, Outcome: schemas.OutcomePartial, RetrievedAt: noon, CorrelationID: "c",
		Source: asked.Position,
	}
	m = r.Message(asked.Key)
	result, err := readResult(&schemas.Record{Value: m.Value, Headers: m.Headers})
	if err != nil || result.source != asked.Position || result.id != q.id || result.outcome != schemas.OutcomePartial ||
		result.reason != "" {
		t.Errorf("%+v, %v", result, err)
	}
}
