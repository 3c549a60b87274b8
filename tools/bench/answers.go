package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// answer is what the books need of a result.
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

// answers keeps the books of what came out.
type answers struct {
	first, last time.Time
	seen        []bool // by number
	distinct    int
	repeated    int
	dead        int
	disorder    int
	newest      map[string]int
	latencies   []time.Duration
}

func newAnswers() *answers { return &answers{newest: map[string]int{}} }

func (a *answers) String() string {
	return fmt.Sprintf("dead %d  repeated %d  out of order %d", a.dead, a.repeated, a.disorder)
}

// add returns whether it is the first answer to its request.
func (a *answers) add(got answer, now time.Time) bool {
	if a.first.IsZero() {
		a.first = now
	}
	a.last = now
	if missing := got.number + 1 - len(a.seen); missing > 0 {
		a.seen = append(a.seen, make([]bool, missing)...)
	}
	if a.seen[got.number] {
		a.repeated++
		return false
	}
	a.seen[got.number] = true
	a.distinct++
	if newest, ok := a.newest[got.contract]; ok && got.number < newest {
		a.disorder++
	}
	a.newest[got.contract] = max(a.newest[got.contract], got.number)
	a.latencies = append(a.latencies, now.Sub(got.due))
	return true
}
