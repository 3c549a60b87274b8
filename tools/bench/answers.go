package main

import (
	"bytes"
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

// readAnswer takes the two strings that the measurement has made itself, of digits and a dash, out of a result. Reading
// all of its JSON would cost as much as a good part of the program.
func readAnswer(value []byte) (answer, error) {
	requestID, contract := text(value, `"requestId":"`), text(value, `"contractId":"`)
	number, sent, _ := strings.Cut(requestID, "-")
	i, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return answer{}, fmt.Errorf("reading a result's requestId: %w", err)
	}
	nanos, err := strconv.ParseInt(sent, 10, 64)
	if err != nil {
		return answer{}, fmt.Errorf("reading a result's requestId: %w", err)
	}
	return answer{int(i), time.Unix(0, nanos), contract}, nil
}

// text returns what follows the start of a member in JSON without white space, up to the next quote.
func text(value []byte, start string) string {
	_, rest, _ := bytes.Cut(value, []byte(start))
	text, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(text)
}

// answers is what came out.
type answers struct {
	first, last time.Time
	distinct    int
	dead        int
	latencies   []time.Duration

	seen   []bool   // by number
	came   []answer // in this order, those not checked yet
	oracle *oracle.Oracle[int]
}

func newAnswers() *answers { return &answers{oracle: oracle.New[int]()} }

// checked is the oracle when it has seen all. It is asked when a run is over, not while the program runs beside it.
func (a *answers) checked() *oracle.Oracle[int] {
	for _, got := range a.came {
		// What was sent is held against the number of answers in the end.
		a.oracle.Request(oracle.Request[int]{ID: got.number, Seq: int64(got.number)})
		a.oracle.Outcome(oracle.Outcome[int]{Of: got.number, Stream: got.contract})
	}
	a.came = a.came[:0]
	return a.oracle
}

// repeated counts answers beyond the first of their requests.
func (a *answers) repeated() int { return len(a.checked().Repeated()) }

// disorder counts first answers behind one to a later request of their contract.
func (a *answers) disorder() int { return len(a.checked().Disorder()) }

func (a *answers) String() string {
	return fmt.Sprintf("dead %d  repeated %d  out of order %d", a.dead, a.repeated(), a.disorder())
}

// add returns whether it is the first answer to its request.
func (a *answers) add(got answer, now time.Time) bool {
	if a.first.IsZero() {
		a.first = now
	}
	a.last = now
	a.came = append(a.came, got)
	if grow := got.number + 1 - len(a.seen); grow > 0 {
		a.seen = append(a.seen, make([]bool, grow)...)
	}
	if a.seen[got.number] {
		return false
	}
	a.seen[got.number] = true
	a.distinct++
	a.latencies = append(a.latencies, now.Sub(got.due))
	return true
}
