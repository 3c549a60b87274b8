package schemas_test

import (
	"fmt"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// A record that is no valid request says which field is wrong and what to send instead; its id is known all the same.
func ExampleDecodeRequest() {
	at := schemas.Position{Topic: "balance.requests", Partition: 3, Offset: 4711}
	for _, value := range []string{
		`{"requestId":"r-1","contractId":"42","balanceCodes":["AVAILABLE","CREDIT_LIMIT"]}`,
		`{"contractId":"42","balanceCodes":[]}`,
	} {
		req, err := schemas.DecodeRequest(&schemas.Record{Position: at, Value: []byte(value)})
		fmt.Println(req.ID, req.ContractID, req.BalanceCodes, err)
	}
	// Output:
	// r-1 42 [AVAILABLE CREDIT_LIMIT] <nil>
	// balance.requests/3/4711 42 [] balanceCodes: is empty; send an array of 1 to 100 balance codes
}

// A result is written with the key of its request, and read again by those who wait for it.
func ExampleResult_Message() {
	result := schemas.Result{
		RequestID: "r-1", ContractID: 42, Outcome: schemas.OutcomePartial,
		Balances:            []schemas.Balance{{Code: "AVAILABLE", ID: "7", Currency: "EUR", Value: "9811.31"}},
		MissingBalanceCodes: []string{"CREDIT_LIMIT"},
		RetrievedAt:         time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		CorrelationID:       "0192f0c1",
		Source:              schemas.Position{Topic: "balance.requests", Partition: 3, Offset: 4711},
	}
	m := result.Message([]byte("42"))
	read, err := schemas.DecodeResult(m.Value)
	fmt.Println(string(m.Key), read.Outcome, read.Balances, read.MissingBalanceCodes, err)
	// Output: 42 partial [{AVAILABLE 7 EUR 9811.31}] [CREDIT_LIMIT] <nil>
}

// A dead letter is the record as it came; its headers say why it was given up.
func ExampleDeadLetter_Message() {
	rec := schemas.Record{
		Position: schemas.Position{Topic: "balance.requests", Partition: 3, Offset: 4711},
		Key:      []byte("42"), Value: []byte(`{"contractId":"42"}`),
	}
	letter := schemas.DeadLetter{
		Record: &rec, Reason: schemas.ReasonInvalidRequest, Detail: "balanceCodes: is missing", RequestID: rec.String(),
		DecidedAt: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
	}
	m := letter.Message(schemas.Origin{Group: "balanceq", Instance: "a", Version: "v1"})
	info := schemas.ReadDeadLetter(&schemas.Record{Key: m.Key, Value: m.Value, Headers: m.Headers})
	fmt.Println(string(m.Value))
	fmt.Println(info.Source, info.Reason, info.Detail)
	// Output:
	// {"contractId":"42"}
	// balance.requests/3/4711 invalid-request balanceCodes: is missing
}
