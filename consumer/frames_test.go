package consumer

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// frames refuse all ids but 1.
type frames struct{ asked atomic.Int32 }

func (f *frames) Refuse(_ context.Context, id uint32) *schemas.RequestError {
	f.asked.Add(1)
	if id == 1 {
		return nil
	}
	return schemas.RefuseFrame(id, ", which is AVRO; send JSON")
}

// What a registry has against a frame is said of the request, which keeps its id, and has no contract's order to keep.
func TestFrames(t *testing.T) {
	checker := &frames{}
	c := New(testConfig(), Parts{Frames: checker})
	p := newPartition(c, 0, &fakeLease{}, position{})
	const text = `{"contractId":7,"balanceCodes":["A"],"requestId":"r-1"}`
	const avro = "value: is framed as schema id 7, which is AVRO; send JSON"
	for i, test := range []struct{ value, err string }{
		{text, ""},
		{"\x00\x00\x00\x00\x01" + text, ""},
		{"\x00\x00\x00\x00\x07" + text, avro},
		{"\x00\x00\x00\x00\x07\x02\x0a70001", avro},
		{"\x00\x00\x00\x00\x01{}", "contractId: is missing; send a number or a string of digits, 1 to 999999999999999999"},
		{"\x00\x00\x00\x00\x01", "value: is not valid JSON at byte 0: invalid character '\\x00' at start of value"},
	} {
		s := p.begin(t.Context(), &kafkawire.Record{Offset: int64(i), Value: []byte(test.value)}, &hold{partition: p})
		var err string
		if s.req.Err != nil {
			err = s.req.Err.Error()
		}
		if err != test.err || (s.req.Contract() == 7) != (err == "") || string(s.req.Record.Value) != test.value {
			t.Errorf("%q: %s, contract %d", test.value, err, s.req.Contract())
		}
		if i < 3 && s.req.Request.ID != "r-1" {
			t.Errorf("%q has the id %s", test.value, s.req.Request.ID)
		}
	}
	if n := checker.asked.Load(); n != 4 {
		t.Errorf("%d of 4 framed requests were checked", n)
	}
}
