package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/oracle"
)

// answer is what is needed of a result.
type answer struct {
	number   int       // of the request
	due      time.Time // when the request was
	contract string
}

func readAnswer(value []byte) (answer, error) {
	var result struct {
		RequestID  string `json:"requestId"`
		ContractID string `json:"contractId"`
	}
	if err := json.Unmarshal(value, &result); err != nil {
		return answer{}, fmt.Errorf("reading a result: %w", err)
	}
	number, sent, _ := strings.Cut(result.RequestID, "-")
	i, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return answer{}, fmt.Errorf("reading a result's requestId: %w", err)
	}
	nanos, err := strconv.ParseInt(sent, 10, 64)
	if err != nil {
		return answer{}, fmt.Errorf("reading a result's requestId: %w", err)
	}
	return answer{int(i), time.Unix(0, nanos), result.ContractID}, nil
}

// answers is what came out.
type answers struct {
	first, last time.Time
	oracle      *oracle.Oracle[int] // by number
	distinct    int
	dead        int
	latencies   []time.Duration
}

func newAnswers() *answers { return &answers{oracle: oracle.New[int]()} }

// repeated counts answers beyond the first of their requests.
func (a *answers) repeated() int { return len(a.oracle.Repeated()) }

// disorder counts first answers behind one to a later request of their contract.
func (a *answers) disorder() int { return len(a.oracle.Disorder()) }

func (a *answers) String() string {
	return fmt.Sprintf("dead %d  repeated %d  out of order %d", a.dead, a.repeated(), a.disorder())
}

// add returns whether it is the first answer to its request.
func (a *answers) add(got answer, now time.Time) bool {
	if a.first.IsZero() {
		a.first = now
	}
	a.last = now
	// What was sent is held against the number of answers in the end.
	a.oracle.Request(oracle.Request[int]{ID: got.number, Seq: int64(got.number)})
	if a.oracle.Outcome(oracle.Outcome[int]{Of: got.number, Stream: got.contract}) == oracle.Repeated {
		return false
	}
	a.distinct++
	a.latencies = append(a.latencies, now.Sub(got.due))
	return true
}
