package deadletter

import (
	"reflect"
	"testing"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// letter is what balanceq writes about a request at this position of balance.requests.
func letter(offset int64, value string, change ...func(*schemas.DeadLetter)) *Letter {
	d := &schemas.DeadLetter{
		Record: &schemas.Record{
			Position: schemas.Position{Topic: "balance.requests", Partition: 1, Offset: offset},
			Key:      []byte("k"), Value: []byte(value), Headers: []schemas.Header{{Key: "trace", Value: []byte("t-77")}},
		},
		Reason: schemas.ReasonContractNotFound, Detail: "no such contract", RequestID: "masked", DecidedAt: noon,
	}
	for _, c := range change {
		c(d)
	}
	m := d.Message(schemas.Origin{Group: "balanceq"})
	return Read(&schemas.Record{
		Position: schemas.Position{Topic: "balance.deadletters", Partition: 2, Offset: 100 + offset},
		Key:      m.Key, Value: m.Value, Headers: m.Headers, Time: m.Time,
	})
}

func TestLetterRequest(t *testing.T) {
	t.Parallel()
	l := letter(7, `{"contractId":70001,"balanceCodes":["A"]}`)
	if r, err := l.Request(); err != nil || r.ContractID != 70001 || r.ID != "balance.requests/1/7" {
		t.Errorf("%+v, error %v", r, err)
	}
	if !l.Recognised() || l.Info().Reason != schemas.ReasonContractNotFound {
		t.Errorf("%+v", l.Info())
	}
	l = letter(7, `{"contractId":70001,"requestId":"mine"`)
	if r, err := l.Request(); err == nil || r.ID != "mine" {
		t.Errorf("%+v, error %v", r, err)
	}
}

// A record without headers of a dead letter has neither a source nor a request id that could be told.
func TestLetterOfAnUnknownWriter(t *testing.T) {
	t.Parallel()
	l := Read(&schemas.Record{
		Position: schemas.Position{Topic: "balance.deadletters", Offset: 5},
		Value:    []byte(`{"contractId":1,"balanceCodes":["A"]}`),
	})
	if l.Recognised() {
		t.Error("it is recognised")
	}
	if r, err := l.Request(); err != nil || r.ContractID != 1 || r.ID != "" {
		t.Errorf("%+v, error %v", r, err)
	}
}

// A letter that is kept is the same, and shares no byte with the scan.
func TestLetterKeep(t *testing.T) {
	t.Parallel()
	rec := &schemas.Record{Position: schemas.Position{Topic: "t", Partition: 1, Offset: 2}, Key: []byte("key"),
		Value: []byte{}, Time: noon,
		Headers: []schemas.Header{{Key: "a", Value: []byte("one")}, {Key: "a", Value: nil}, {Key: "", Value: []byte{}}}}
	kept := Read(rec).Clone()
	if !reflect.DeepEqual(kept.Record, rec) {
		t.Fatalf("kept %+v of %+v", kept.Record, rec)
	}
	rec.Key[0], rec.Headers[0].Value[0], rec.Headers[0].Key = 'X', 'X', "X"
	if string(kept.Key) != "key" || string(kept.Headers[0].Value) != "one" || kept.Headers[0].Key != "a" {
		t.Errorf("kept %+v", kept.Record)
	}
}
