package deadletter_test

import (
	"fmt"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/schemas"
)

// What a record of the dead-letter topic says: which request it was, why it was given up, and what to do about it. Scan
// gives such records from a topic; this one is made here.
func Example() {
	lost := schemas.DeadLetter{
		Record: &schemas.Record{
			Position: schemas.Position{Topic: "balance.requests", Partition: 3, Offset: 4711},
			Key:      []byte("70001"),
			Value:    []byte(`{"contractId":"70001","balanceCodes":["AVAILABLE"]}`),
		},
		Reason: schemas.ReasonContractNotFound, DecidedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	message := lost.Message(schemas.Origin{Group: "balanceq"})
	letter := deadletter.Read(&schemas.Record{
		Position: schemas.Position{Topic: "balance.deadletters", Partition: 0, Offset: 9},
		Key:      message.Key, Value: message.Value, Headers: message.Headers, Time: message.Time,
	})

	filter := deadletter.Filter{Reasons: []schemas.Reason{schemas.ReasonContractNotFound}, Contracts: []int64{70001}}
	fmt.Println("wanted:", filter.Passes(letter))
	fmt.Println("request:", letter.Info().Source)
	fmt.Println("reason:", letter.Info().Reason)
	fmt.Println("means:", letter.Advice().Means)
	for _, command := range letter.Advice().Commands(letter.Position) {
		fmt.Println("type:", command)
	}
	// Output:
	// wanted: true
	// request: balance.requests/3/4711
	// reason: contract-not-found
	// means: The CMS answered 404 CONTRACT_DOES_NOT_EXIST: it has no such contract.
	// type: balanceq deadletters replay --partition 0 --offset 9
	// type: balanceq deadletters replay --partition 0 --offset 9 --execute
}
