package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/balanceq/balanceq/schemas"
)

// Request asks for balances of one contract.
type Request struct {
	ContractID   int64    // schemas.MinContractID…MaxContractID
	BalanceCodes []string // 1…schemas.MaxBalanceCodes
	// ID is the caller's own, if there is one: up to schemas.MaxRequestID bytes. It need not be unique: what the service
	// sees as the request's id is the Ticket's. It goes along as the header HeaderCallerID.
	ID string
	// Deadline is after when the answer is of no use: a request that the service could not ask for by then is refused as
	// expired. Zero: that of the context, less Config.Margin.
	Deadline time.Time
}

// HeaderCallerID carries Request.ID. Dead letters repeat it, and results where the service echoes it
// (results.echo-headers).
const HeaderCallerID = "x-correlation-id"

// Encoded is a request as its record: for requests that others have made.
type Encoded struct {
	Key     []byte // the contract id; nil: none
	Value   []byte // JSON, published byte for byte, valid or not
	Headers []schemas.Header
	// ID is the request's id, by which its answer is known: its requestId, else its CloudEvents id. If several requests
	// under way have the same one, the first answer is taken for the oldest; in another client with the same one, too.
	ID string
}

// Answer is the result of a request. All who wait for one ticket have the same Answer.
type Answer struct {
	Request Request
	Result  schemas.Result
	JSON    []byte        // the result as it was published, without a registry's frame
	Took    time.Duration // since it was sent
}

// Balance returns the balance of that code, if there is one. Of no answer, nil, there is none.
func (a *Answer) Balance(code string) (schemas.Balance, bool) {
	if a == nil {
		return schemas.Balance{}, false
	}
	for _, b := range a.Result.Balances {
		if b.Code == code {
			return b, true
		}
	}
	return schemas.Balance{}, false
}

// nowhere is the position at which requests are checked. It is of no topic.
var nowhere = schemas.Position{Topic: "\n"}

// encode makes the record of a request. Its error is a *schemas.RequestError where a member is not valid.
func (c *Client) encode(ctx context.Context, r *Request) (Encoded, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Encoded{}, fmt.Errorf("client: making an id: %w", err)
	}
	wire := schemas.Request{ID: id.String(), ContractID: r.ContractID, BalanceCodes: r.BalanceCodes,
		Deadline: c.deadline(ctx, r)}
	e := Encoded{ID: wire.ID, Key: strconv.AppendInt(nil, r.ContractID, 10), Value: wire.AppendJSON(nil)}
	if _, err := schemas.DecodeRequest(&schemas.Record{Position: nowhere, Value: e.Value}); err != nil {
		return Encoded{}, fmt.Errorf("client: %w", err)
	}
	if len(r.ID) > schemas.MaxRequestID {
		return Encoded{}, errors.New("client: ID: is longer than " + strconv.Itoa(schemas.MaxRequestID) +
			" bytes; shorten it")
	}
	if r.ID != "" {
		e.Headers = append(e.Headers, schemas.Header{Key: HeaderCallerID, Value: []byte(r.ID)})
	}
	if c.cfg.Propagate != nil {
		c.cfg.Propagate(ctx, Headers{&e.Headers})
	}
	return e, nil
}

// deadline is the request's own, else that of ctx less the margin, else none.
func (c *Client) deadline(ctx context.Context, r *Request) time.Time {
	at, ok := ctx.Deadline()
	if !r.Deadline.IsZero() || !ok {
		return r.Deadline
	}
	return at.Add(-min(c.cfg.Margin, max(0, time.Until(at)/4)))
}
