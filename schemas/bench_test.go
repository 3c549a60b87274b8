package schemas

import (
	"testing"
	"time"
)

var typicalRequest = &Record{
	Position: Position{Topic: "balance.requests", Partition: 3, Offset: 4711},
	Value: []byte(`{"contractId":"70001","balanceCodes":["AVAILABLE","BLOCKED"],` +
		`"requestId":"0b54f1de-3f5a-4a5e-9d53-6c1f0d2b7a41"}`),
}

var typicalResult = Result{
	RequestID:  "0b54f1de-3f5a-4a5e-9d53-6c1f0d2b7a41",
	ContractID: 70001,
	Outcome:    OutcomeComplete,
	Balances: []Balance{
		{Code: "AVAILABLE", ID: "89516416", Currency: "EUR", Value: "9811.31"},
		{Code: "BLOCKED", ID: "89516417", Currency: "EUR", Value: "9811.31"},
	},
	RetrievedAt:      time.Date(2026, 1, 31, 11, 59, 58, 250e6, time.UTC),
	CorrelationID:    "5e0e9f0a-4b1c-4f0c-8f57-0f7f6a1d2c3b",
	CMSCorrelationID: "0.1f3b1402.1769860798.2ab1c3d4",
	Source:           Position{Topic: "balance.requests", Partition: 3, Offset: 4711},
}

// The hot path: a handful of allocations a record, most of them the strings that the request keeps.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop things at random")
	}
	request := testing.AllocsPerRun(1000, func() { _, _ = DecodeRequest(typicalRequest) })
	if request > 8 {
		t.Errorf("DecodeRequest: %v allocations, want at most 8", request)
	}
	result := testing.AllocsPerRun(1000, func() { _ = typicalResult.Message(nil) })
	if result > 2 {
		t.Errorf("Result.Message: %v allocations, want at most 2", result)
	}
	room := new(Room)
	if again := testing.AllocsPerRun(1000, func() { _ = typicalResult.MessageIn(room, nil) }); again != 0 {
		t.Errorf("Result.MessageIn: %v allocations, want 0", again)
	}
	mask := testing.AllocsPerRun(1000, func() { _ = Mask("contract 70001: attempt 3 of 5 failed at 1769860798250") })
	if mask != 0 {
		t.Errorf("Mask: %v allocations, want 0", mask)
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRequest(typicalRequest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResultMessage(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if m := typicalResult.Message(nil); len(m.Value) == 0 {
			b.Fatal("no value")
		}
	}
}

func BenchmarkDeadLetterMessage(b *testing.B) {
	d := &DeadLetter{
		Record: typicalRequest, Reason: ReasonContractNotFound, Detail: "the CMS has no contract 70001", Attempts: 1,
		RequestID: "0b54f1de-3f5a-4a5e-9d53-6c1f0d2b7a41", HTTPStatus: 404, DecidedAt: typicalResult.RetrievedAt,
	}
	b.ReportAllocs()
	for b.Loop() {
		if m := d.Message(Origin{Group: "balanceq"}); len(m.Headers) == 0 {
			b.Fatal("no headers")
		}
	}
}
