package e2e

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/oracle"
	"github.com/balanceq/balanceq/schemas"
)

// ledger holds what came out of a rig, by the position of the request that it answers.
type ledger struct {
	t       *testing.T
	rig     *rig
	results map[schemas.Position][]answer
	dead    map[schemas.Position][]deadLetter
	log     []answer // all results, ordered by partition and offset
	oracle  *oracle.Oracle[schemas.Position]
}

type answer struct {
	schemas.Result
	msg kafka.Message
}

type deadLetter struct {
	schemas.DeadLetterInfo
	msg kafka.Message
}

// Ledger reads both topics to their ends and checks every record by itself: a result has the CMS's digits and the right
// key and headers, a dead letter is its request byte for byte.
func (r *rig) Ledger() *ledger {
	r.t.Helper()
	l := &ledger{
		t: r.t, rig: r, results: map[schemas.Position][]answer{}, dead: map[schemas.Position][]deadLetter{},
		oracle: oracle.New[schemas.Position](),
	}
	sent := map[schemas.Position]*schemas.Record{}
	for _, m := range r.sent {
		rec := recordOf(m)
		sent[rec.Position] = rec
		l.oracle.Request(oracle.Request[schemas.Position]{ID: rec.Position, Seq: rec.Offset})
	}
	for _, m := range r.broker.ReadAll(r.t, r.results) {
		result, err := schemas.DecodeResult(m.Value)
		if err != nil {
			r.t.Errorf("result %d/%d: %v in %s", m.Partition, m.Offset, err, m.Value)
			continue
		}
		// Results in different partitions have no order, and neither have requests.
		stream := fmt.Sprint("contract ", result.ContractID, "/", m.Partition, "/", result.Source.Partition)
		if l.outcome(result.Source, stream) != oracle.Unknown {
			l.checkResult(&result, m, sent[result.Source])
		}
		l.results[result.Source] = append(l.results[result.Source], answer{result, m})
		l.log = append(l.log, answer{result, m})
	}
	for _, m := range r.broker.ReadAll(r.t, r.deadletters) {
		info := schemas.ReadDeadLetter(recordOf(m))
		if l.outcome(info.Source, fmt.Sprint(deadStream, string(m.Key), "/", info.Source.Partition)) != oracle.Unknown {
			l.checkDeadLetter(m, sent[info.Source])
		}
		l.dead[info.Source] = append(l.dead[info.Source], deadLetter{info, m})
	}
	return l
}

// deadStream begins the names of the streams of dead letters. Invalid requests and others of one key have no order.
const deadStream = "dead letters of "

// outcome adds the next one to the oracle.
func (l *ledger) outcome(of schemas.Position, stream string) oracle.Verdict {
	l.t.Helper()
	verdict := l.oracle.Outcome(oracle.Outcome[schemas.Position]{Of: of, Stream: stream})
	if verdict == oracle.Unknown {
		l.t.Errorf("an outcome of %v, which was not sent", of)
	}
	return verdict
}

func recordOf(m kafka.Message) *schemas.Record {
	rec := &schemas.Record{
		Position: schemas.Position{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset},
		Key:      m.Key, Value: m.Value, Time: m.Time,
	}
	for _, h := range m.Headers {
		rec.Headers = append(rec.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	return rec
}

func positionOf(m kafka.Message) schemas.Position { return recordOf(m).Position }

func (l *ledger) checkResult(got *schemas.Result, m kafka.Message, request *schemas.Record) {
	l.t.Helper()
	asked, err := schemas.DecodeRequest(request)
	if err != nil {
		l.t.Errorf("a result for %v, which is invalid: %v", request.Position, err)
		return
	}
	want := schemas.Result{
		RequestID: asked.ID, ContractID: asked.ContractID, Outcome: schemas.OutcomeComplete, Source: request.Position,
		RetrievedAt: got.RetrievedAt, CorrelationID: got.CorrelationID, CMSCorrelationID: got.CMSCorrelationID,
	}
	for _, code := range asked.BalanceCodes {
		if found := cmssim.Balances(asked.ContractID, code); len(found) > 0 {
			want.Balances = append(want.Balances, found...)
		} else {
			want.MissingBalanceCodes, want.Outcome = append(want.MissingBalanceCodes, code), schemas.OutcomePartial
		}
	}
	inOrder := *got
	inOrder.Balances = slices.Clone(got.Balances)
	slices.SortStableFunc(inOrder.Balances, func(a, b schemas.Balance) int {
		return slices.Index(asked.BalanceCodes, a.Code) - slices.Index(asked.BalanceCodes, b.Code)
	})
	if len(inOrder.Balances) == 0 {
		inOrder.Balances = nil
	}
	if !reflect.DeepEqual(inOrder, want) {
		l.t.Errorf("result of %v:\ngot  %+v\nwant %+v", request.Position, inOrder, want)
	}
	if got.RetrievedAt.IsZero() || got.CorrelationID == "" || got.CMSCorrelationID == "" {
		l.t.Errorf("result of %v lacks a time or a correlation id: %s", request.Position, m.Value)
	}
	key := request.Key
	if key == nil {
		key = strconv.AppendInt(nil, asked.ContractID, 10)
	}
	if !bytes.Equal(m.Key, key) {
		l.t.Errorf("result of %v: key %q, want %q", request.Position, m.Key, key)
	}
	wantHeaders := map[string]string{
		"ce_specversion": "1.0", "ce_type": schemas.ResultEventType, "ce_id": headersOf(m)["ce_id"],
		"ce_source": "balanceq/" + request.Topic, "content-type": "application/json",
		"ce_time": got.RetrievedAt.UTC().Format("2006-01-02T15:04:05.000Z"), "ce_dataschema": schemas.ResultDataSchema,
	}
	if parent := string(asked.Trace.Parent); parent != "" {
		wantHeaders["traceparent"], wantHeaders["ce_traceparent"] = parent, parent
	}
	// Position, topic id and leader epoch; a topic of the tests is made once and its leader elected once, or a few times.
	if id, is := strings.CutPrefix(headersOf(m)["ce_id"], request.String()); !is || !identity.MatchString(id) {
		l.t.Errorf("result of %v: ce_id %q", request.Position, headersOf(m)["ce_id"])
	}
	if headers := headersOf(m); !reflect.DeepEqual(headers, wantHeaders) {
		l.t.Errorf("result of %v: headers %v, want %v", request.Position, headers, wantHeaders)
	}
}

// identity is what a ce_id has behind the position: the topic's id and the leader epoch.
var identity = regexp.MustCompile(`^@[\w-]{22}\.\d+$`)

func headersOf(m kafka.Message) map[string]string {
	headers := map[string]string{}
	for _, h := range m.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

// checkDeadLetter holds a dead letter against its request, for requests that were not dead letters themselves before.
func (l *ledger) checkDeadLetter(m kafka.Message, request *schemas.Record) {
	l.t.Helper()
	if !bytes.Equal(m.Key, request.Key) || !bytes.Equal(m.Value, request.Value) ||
		(m.Key == nil) != (request.Key == nil) || (m.Value == nil) != (request.Value == nil) {
		l.t.Errorf("dead letter of %v: key or value differ from the request's", request.Position)
	}
	for i, want := range request.Headers {
		if i >= len(m.Headers) || m.Headers[i].Key != want.Key || !bytes.Equal(m.Headers[i].Value, want.Value) ||
			(m.Headers[i].Value == nil) != (want.Value == nil) {
			l.t.Errorf("dead letter of %v: header %d is not the request's %q", request.Position, i, want.Key)
		}
	}
	if m.Partition != int(request.Partition) {
		l.t.Errorf("dead letter of %v is in partition %d", request.Position, m.Partition)
	}
}

// Lost returns the requests without any outcome.
func (l *ledger) Lost() (lost []schemas.Position) {
	for _, q := range l.oracle.Findings().Lost {
		lost = append(lost, q.ID)
	}
	return lost
}

// Repeated counts the outcomes beyond the first of each request.
func (l *ledger) Repeated() int { return len(l.oracle.Repeated()) }

// WantNothingLost fails the test if a request has no outcome, or if first results of one contract are out of order:
// what is repeated after a crash is older than what came before, but no subscriber that drops what it has seen notices.
func (l *ledger) WantNothingLost() {
	l.t.Helper()
	if lost := l.Lost(); len(lost) > 0 {
		l.t.Errorf("%d of %d requests have no outcome: %v", len(lost), len(l.rig.sent), lost[:min(len(lost), 10)])
	}
	l.wantOrder(false)
}

// WantDeadLettersInOrder fails the test if those of one key come out in another order than its requests.
func (l *ledger) WantDeadLettersInOrder() {
	l.t.Helper()
	l.wantOrder(true)
}

func (l *ledger) wantOrder(dead bool) {
	l.t.Helper()
	for _, d := range l.oracle.Disorder() {
		if strings.HasPrefix(d.Outcome.Stream, deadStream) == dead {
			l.t.Errorf("%s: the outcome of %v comes after that of %v", d.Outcome.Stream, d.Outcome.Of, d.After.Of)
		}
	}
}

// WantExactlyOnce is WantNothingLost, and that nothing is repeated either.
func (l *ledger) WantExactlyOnce() {
	l.t.Helper()
	l.WantNothingLost()
	if n := l.Repeated(); n > 0 {
		l.t.Errorf("%d outcomes are repeated", n)
	}
}

// WantNoDeadLetters fails the test if there are any.
func (l *ledger) WantNoDeadLetters() {
	l.t.Helper()
	for at, letters := range l.dead {
		l.t.Errorf("dead letter of %v: %s: %s", at, letters[0].Reason, letters[0].Detail)
	}
}

// Dead returns the one dead letter of a request, which must have no result.
func (l *ledger) Dead(request kafka.Message) deadLetter {
	l.t.Helper()
	p := positionOf(request)
	if len(l.dead[p]) != 1 || len(l.results[p]) != 0 {
		l.t.Fatalf("%v has %d dead letters and %d results, want one dead letter", p, len(l.dead[p]), len(l.results[p]))
	}
	return l.dead[p][0]
}

// Result returns the one result of a request, which must have no dead letter.
func (l *ledger) Result(request kafka.Message) answer {
	l.t.Helper()
	p := positionOf(request)
	if len(l.dead[p]) != 0 || len(l.results[p]) != 1 {
		l.t.Fatalf("%v has %d dead letters and %d results, want one result", p, len(l.dead[p]), len(l.results[p]))
	}
	return l.results[p][0]
}
