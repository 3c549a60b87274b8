package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"
)

// kind says what a request is meant to provoke.
type kind string

const (
	good      kind = "good"
	partial   kind = "partial"     // asks for codes that the contract does not have
	missing   kind = "no contract" // asks about a contract that does not exist
	malformed kind = "malformed"
	failing   kind = "failing" // asks about a contract that the CMS cannot answer for
	expired   kind = "expired" // its deadline is in the past
)

// kinds in the order of the summary.
var kinds = []kind{good, partial, missing, malformed, failing, expired}

// want is the one right answer to each kind.
func (k kind) want() answer {
	switch k {
	case good:
		return answer{outcome: schemas.OutcomeComplete}
	case partial:
		return answer{outcome: schemas.OutcomePartial}
	case missing:
		return answer{reason: schemas.ReasonContractNotFound}
	case malformed:
		return answer{reason: schemas.ReasonInvalidRequest}
	case failing:
		return answer{reason: schemas.ReasonAttemptsExhausted}
	case expired:
		return answer{reason: schemas.ReasonExpired}
	}
	return answer{}
}

// shares of each kind in a thousand requests; the rest is good.
var shares = []struct {
	kind  kind
	share int
}{{partial, 70}, {missing, 30}, {malformed, 25}, {expired, 12}, {failing, 7}}

// failingContracts are those that the simulator answers with 500 all the time.
var failingContracts = []int64{70500, 70501}

// headerKind tells the checks what a record was meant to be; dead letters carry it on.
const headerKind = "demo-kind"

// mix makes requests: always the same ones, in the same order.
type mix struct {
	random *rand.Rand
	n      int
}

func newMix() *mix { return &mix{random: rand.New(rand.NewPCG(1, 2))} }

// next makes a request, of any kind or a good one.
func (m *mix) next(now time.Time, onlyGood bool) (request, schemas.Message) {
	m.n++
	q := request{id: fmt.Sprintf("demo-%06d", m.n), kind: good}
	if !onlyGood {
		q.kind = m.kind()
	}
	q.contract = 100_000 + m.random.Int64N(400)
	body := schemas.Request{ID: q.id}
	switch q.kind {
	case partial:
		body.BalanceCodes = []string{cmssim.Codes[0], "LOYALTY_POINTS"}
	case missing:
		q.contract = 404_000 + m.random.Int64N(100)
	case failing:
		q.contract = failingContracts[m.random.IntN(len(failingContracts))]
	case expired:
		body.Deadline = now.Add(-time.Minute)
	case good, malformed: // any contract, codes that it has
	}
	if body.BalanceCodes == nil {
		first := m.random.IntN(len(cmssim.Codes) - 3)
		body.BalanceCodes = cmssim.Codes[first : first+1+m.random.IntN(3)]
	}
	body.ContractID = q.contract
	value := body.AppendJSON(nil)
	if q.kind == malformed {
		value = m.spoil(body, value)
	}
	return q, schemas.Message{
		Key: strconv.AppendInt(nil, q.contract, 10), Value: value, Time: now,
		Headers: []schemas.Header{ // an event: its id is known even where the request cannot be read
			{Key: schemas.HeaderEventSpecVersion, Value: []byte("1.0")},
			{Key: schemas.HeaderEventID, Value: []byte(q.id)},
			{Key: schemas.HeaderEventSource, Value: []byte("/balanceq-demo")},
			{Key: schemas.HeaderEventType, Value: []byte("balanceq.balance.request.v1")},
			{Key: headerKind, Value: []byte(q.kind)},
		},
	}
}

func (m *mix) kind() kind {
	place := m.random.IntN(1000)
	for _, s := range shares {
		if place -= s.share; place < 0 {
			return s.kind
		}
	}
	return good
}

// spoil makes a request invalid in one of the ways that are seen in practice.
func (m *mix) spoil(body schemas.Request, value []byte) []byte {
	switch m.random.IntN(4) {
	case 0:
		return value[:len(value)/2] // cut off
	case 1:
		return fmt.Appendf(nil, `{"contractId":"%d","requestId":"%s"}`, body.ContractID, body.ID) // no codes
	case 2:
		return fmt.Appendf(nil, `{"contractId":"%d0000000000000","balanceCodes":["AVAILABLE"],"requestId":"%s"}`, // 19 digits
			body.ContractID, body.ID)
	}
	return fmt.Appendf(nil, `{"contractId":"%d","contractId":"%d","balanceCodes":["AVAILABLE"],"requestId":"%s"}`,
		body.ContractID, body.ContractID+1, body.ID) // a member twice
}

// traffic asks at a pace that may change.
type traffic struct {
	client   *client.Client
	progress *progress

	mu       sync.Mutex
	perSec   int
	onlyGood bool

	waits        sync.WaitGroup
	acknowledged atomic.Int64
}

// Sent implements client.Observer.
func (t *traffic) Sent() { t.acknowledged.Add(1) }

// Answered implements client.Observer.
func (t *traffic) Answered(time.Duration, schemas.Reason) {}

// Unanswered implements client.Observer.
func (t *traffic) Unanswered() {}

// Failing implements client.Observer: the client tries again.
func (t *traffic) Failing(error) {}

const (
	trafficBuffer = 8 << 20 // bytes
	// maxLag stops the traffic while so many requests have no answer: more than the outage piles up, unless the machine is
	// so slow that the service could not drain in time.
	maxLag = fullBar
)

func newTraffic(ctx context.Context, brokers []string, topics config.Topics, b *progress) (*traffic, error) {
	t := &traffic{progress: b}
	var err error
	t.client, err = client.Open(ctx, client.Config{Brokers: brokers, Requests: topics.Requests, Results: topics.Results,
		DeadLetters: topics.DeadLetters, MaxWaiting: 2 * maxLag, BufferBytes: trafficBuffer, Observer: t})
	if err != nil {
		return nil, fmt.Errorf("preparing the traffic: %w", err)
	}
	return t, nil
}

// pace sets how many requests a second are published from now on.
func (t *traffic) pace(perSec int, onlyGood bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.perSec, t.onlyGood = perSec, onlyGood
}

func (t *traffic) paced() (perSec int, onlyGood bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.perSec, t.onlyGood
}

// run publishes until ctx ends.
func (t *traffic) run(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	m, last, due := newMix(), time.Now(), 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			perSec, onlyGood := t.paced()
			due += now.Sub(last).Seconds() * float64(perSec)
			last = now
			if t.progress.lag() >= maxLag {
				due = 0
			}
			for ; due >= 1; due-- {
				q, message := m.next(now, onlyGood)
				t.progress.asked(q, now)
				ticket, err := t.client.SendEncoded(ctx, client.Encoded{Key: message.Key, Value: message.Value,
					Headers: message.Headers, ID: q.id})
				if err != nil {
					return // ctx ended, or the traffic has
				}
				t.waits.Go(func() { t.await(ctx, ticket) })
			}
		}
	}
}

// await notes what becomes of a request. What is not heard of, the checks find out.
func (t *traffic) await(ctx context.Context, ticket *client.Ticket) {
	got, err := ticket.Wait(ctx)
	refused, isRefused := errors.AsType[*client.RefusedError](err)
	switch {
	case isRefused:
		t.progress.answered(answer{id: ticket.ID(), reason: refused.Reason}, time.Now())
	case err == nil:
		t.progress.answered(answer{id: ticket.ID(), outcome: got.Result.Outcome}, time.Now())
	}
}

// close waits a moment for what is under way and returns how many requests were acknowledged. What is left, the checks
// find out.
func (t *traffic) close() int {
	ctx, cancel := context.WithTimeout(context.Background(), closeBudget)
	defer cancel()
	_ = t.client.Close(ctx)
	t.waits.Wait()
	return int(t.acknowledged.Load())
}
