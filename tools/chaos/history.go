package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/cmssim"
)

// fate is what has to become of a request. It follows from the request alone.
type fate int

const (
	answered fate = iota // a result
	notFound             // a dead letter: the CMS knows no such contract
	invalid              // a dead letter: balanceCodes is missing
)

// reasons are the dead letters' reasons by fate, as schemas/v1 spells them.
var reasons = map[fate]string{notFound: "contract-not-found", invalid: "invalid-request"}

// unknownContracts begin like this: the simulator has no contract of that kind.
const unknownContracts = "404"

// refusedReason is of a dead letter that is due to a request in a refused contract, if its call came at such a time.
const refusedReason = "request-rejected"

// firstContract is the number of the first contract.
const firstContract = 100_000

// isRefused returns whether the contract of that index is one of those that a gateway may refuse, one in a hundred.
func isRefused(index int) bool { return index%100 == 37 }

// refusedContracts returns them all, of that many.
func refusedContracts(contracts int) (refused []int) {
	for index := range contracts {
		if isRefused(index) {
			refused = append(refused, firstContract+index)
		}
	}
	return refused
}

// position is where a record is in its topic.
type position struct {
	partition int32
	offset    int64
}

func (p position) String() string { return fmt.Sprintf("%d/%d", p.partition, p.offset) }

// request is a record of the request topic.
type request struct {
	position
	seq      int // counts the requests published; the requestId
	contract string
	fate     fate
	written  int64 // when the broker appended it, Unix milliseconds
	life     int   // losses before it
	refused  bool  // a gateway may refuse its contract
}

// outcome is a record of the topic of results or of dead letters.
type outcome struct {
	position
	dead     bool
	id       string // of its request: the ce_id of a result; where a dead letter says it comes from
	seq      int
	contract string
	source   position // of its request
	key      string
	balances string // of a result, as fmt prints []balance
	reason   string // of a dead letter
	instance string // that decided on a dead letter
	// written is when the broker appended a result, and when a dead letter was decided on, which is earlier; Unix
	// milliseconds.
	written int64
	dates
}

// dates are about the transaction of a record, in Unix milliseconds. A record that is in none has them too: as soon as
// it was appended.
type dates struct {
	inOne bool
	ended int64 // its commit
	// from then on a read-committed reader gets it: it has to wait for all transactions that began before it
	readable int64
}

// commit is an offset that the group has committed.
type commit struct {
	partition int32
	offset    int64
	at        int64 // when the broker took it, Unix milliseconds
	ended     int64 // the commit of its transaction; as at, if it is in none
	about
}

// target is a partition of the topic of results or of dead letters.
type target struct {
	dead      bool
	partition int32
}

// sample is a look at the group's committed offsets, and, taken after it, at the ends of what had been written.
type sample struct {
	at        int64 // when it was begun, Unix milliseconds
	committed map[int32]int64
	ends      map[target]int64
}

// period is a time between two events.
type period struct{ from, to time.Time }

// history is everything that the oracle checks by.
type history struct {
	published int                 // requests that the brokers acknowledged
	requests  []request           // what the topic holds, in the order of partition and offset
	gone      []request           // acknowledged, and not in it any more
	losses    []loss              // in the order of time
	outcomes  []outcome           // likewise, topic by topic
	commits   []commit            // all of them, out of the brokers' own log; none where that cannot be read
	injected  []injection         // the faults that were made, to find the causes of stalls
	samples   []sample            // in the order in which they were taken; the last one after all workers had ended
	open      map[string][]period // when breakers were open, by worker
	broken    []period            // tenures of partitions that ended without a last commit of all that was answered
	incidents []string            // what must not happen to a worker, or is no record of this run
	ended     int64               // Unix milliseconds
}

// body is what requests and results have in common.
type body struct {
	RequestID    string   `json:"requestId"`
	ContractID   string   `json:"contractId"`
	BalanceCodes []string `json:"balanceCodes"`
	Source       struct {
		Partition int32 `json:"partition"`
		Offset    int64 `json:"offset"`
	} `json:"source"`
	Balances []balance `json:"balances"`
}

// balance is one of a result (schemas/v1/balance-result.schema.json).
type balance struct {
	Code     string `json:"balanceCode"`
	ID       string `json:"balanceId"`
	Currency string `json:"balanceCurrency"`
	Value    string `json:"balanceValue"`
}

// codes are what all requests ask for that are valid.
var codes = []string{"AVAILABLE", "BLOCKED"}

// balancesOf is what the simulator answers for a contract, in the form of outcome.balances.
func balancesOf(contract string) string {
	var all []balance
	if id, err := strconv.ParseInt(contract, 10, 64); err == nil {
		for _, b := range cmssim.Balances(id, codes...) {
			all = append(all, balance(b))
		}
	}
	return fmt.Sprint(all)
}

func readBody(r *kgo.Record) (b body, seq int, err error) {
	if err := json.Unmarshal(r.Value, &b); err != nil {
		return b, 0, err
	}
	seq, err = strconv.Atoi(b.RequestID)
	return b, seq, err
}

// newRequest makes the request of that number. One contract in fifty does not exist, one request in forty is invalid:
// dead letters that are due whatever happens, so that there are some to be seen at the wrong time.
func newRequest(seq, contracts int) *kgo.Record {
	contract := strconv.Itoa(firstContract + seq%contracts)
	if seq%contracts%50 == 49 {
		contract = unknownContracts + contract
	}
	asked := fmt.Sprintf(`"balanceCodes":["%s"],`, strings.Join(codes, `","`))
	if seq%40 == 33 {
		asked = ""
	}
	value := fmt.Sprintf(`{"contractId":"%s",%s"requestId":"%d"}`, contract, asked, seq)
	return &kgo.Record{Key: []byte(contract), Value: []byte(value)}
}

// readRequest is the opposite of newRequest.
func readRequest(r *kgo.Record) (request, error) {
	b, seq, err := readBody(r)
	if err != nil {
		return request{}, fmt.Errorf("request %d/%d: %w", r.Partition, r.Offset, err)
	}
	q := request{position: position{r.Partition, r.Offset}, seq: seq, contract: b.ContractID,
		written: r.Timestamp.UnixMilli()}
	switch {
	case len(b.BalanceCodes) == 0:
		q.fate = invalid
	case strings.HasPrefix(b.ContractID, unknownContracts):
		q.fate = notFound
	default:
		number, err := strconv.Atoi(b.ContractID)
		q.refused = err == nil && isRefused(number-firstContract)
	}
	return q, nil
}

// readOutcome reads a result or a dead letter, which is its request with headers (docs/contracts.md).
func readOutcome(r stored, dead bool) (outcome, error) {
	b, seq, err := readBody(r.Record)
	o := outcome{
		position: position{r.Partition, r.Offset}, dead: dead, seq: seq, contract: b.ContractID,
		source: position{b.Source.Partition, b.Source.Offset}, written: r.Timestamp.UnixMilli(), dates: r.dates,
		key: string(r.Key),
	}
	switch {
	case err != nil:
	case dead:
		err = o.readHeaders(r)
	default:
		o.balances = fmt.Sprint(b.Balances)
		err = o.readEvent(r)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("record %d/%d of %s: %w", r.Partition, r.Offset, r.Topic, err)
	}
	return o, nil
}

// readEvent reads the headers of a result. What they say of its request is what its value says.
func (o *outcome) readEvent(r stored) error {
	for _, h := range r.Headers {
		if h.Key == "ce_id" {
			o.id = string(h.Value)
		}
	}
	_, behind, _ := strings.Cut(o.id, "/")
	if at, _, _ := strings.Cut(behind, "@"); at != o.source.String() {
		return fmt.Errorf("its ce_id is %q, and its value says source %v", o.id, o.source)
	}
	return nil
}

func (o *outcome) readHeaders(r stored) error {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	partition, partitionErr := strconv.ParseInt(headers["__dlq.errors.partition"], 10, 32)
	offset, offsetErr := strconv.ParseInt(headers["__dlq.errors.offset"], 10, 64)
	o.source = position{int32(partition), offset}
	o.id = fmt.Sprintf("%v@%s.%s", o.source, headers["balanceq-source-topic-id"], headers["balanceq-source-leader-epoch"])
	o.reason, o.instance = headers["balanceq-reason"], headers["balanceq-instance"]
	return errors.Join(partitionErr, offsetErr)
}
