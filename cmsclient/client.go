package cmsclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// Client asks the CMS. It is safe for concurrent use.
type Client struct {
	cfg       Config
	obs       observers
	base      url.URL // without a trailing slash
	template  http.Request
	shared    sharedHeaders
	transport http.RoundTripper
	admission *admission
	bodies    sync.Pool // of *body
}

// Query is what to ask.
type Query struct {
	ContractID    int64    // schemas.MinContractID to schemas.MaxContractID
	Codes         []string // 1 to schemas.MaxBalanceCodes, none empty
	CorrelationID string   // sent as Correlation-Id: 1 to 128 visible ASCII characters
}

// Answer is a 2xx of the CMS.
type Answer struct {
	Balances         []schemas.Balance // of the codes asked for that the CMS has, in its order; may be empty
	RetrievedAt      time.Time         // when the answer's header came
	CMSCorrelationID string            // X-MC-Correlation-ID, opaque; "": none
}

// New returns a client. It connects to nothing. Errors are those of Config.Validate, or that an observer is none.
func New(cfg Config, all ...Observer) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	obs, err := newObservers(all)
	if err != nil {
		return nil, err
	}
	base, _ := parseBase(cfg.URL) // Validate has parsed it
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawPath = strings.TrimRight(base.RawPath, "/")
	c := &Client{
		cfg:       cfg,
		obs:       obs,
		base:      *base,
		template:  requestTemplate(base.Host),
		shared:    newSharedHeaders(cfg.UserAgent),
		transport: newRoundTripper(cfg),
		admission: newAdmission(cfg, obs),
	}
	return c, nil
}

// Close closes the idle connections. No Admit or Get may be running or follow.
func (c *Client) Close() {
	c.admission.mu.Lock()
	c.admission.closed = true
	c.admission.pump() // stops the timer
	c.admission.unlock()
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Admit waits until a call may be made: while the breaker is open, or half-open with its probe under way, in a
// cool-down after a 429, while halted, when rate or quota are used up, and while as many calls are under way as may be.
// Its only error is ctx's. The caller must end the call with Get or Release: a probe that never ends keeps all others
// waiting.
func (c *Client) Admit(ctx context.Context) (*Call, error) { return c.admit(ctx, first) }

// AdmitRetry is Admit for a request that has failed while the CMS works: it also waits for the retry budget.
func (c *Client) AdmitRetry(ctx context.Context) (*Call, error) { return c.admit(ctx, retry) }

func (c *Client) admit(ctx context.Context, k kind) (*Call, error) {
	p, err := c.admission.admit(ctx, k)
	if err != nil {
		return nil, err
	}
	return &Call{client: c, permit: p}, nil
}

// Call is the permission to make one call. It belongs to one goroutine.
type Call struct {
	client *Client
	permit permit // not valid: ended
}

// Release ends a call that was not made; the breaker counts nothing. After Get or Release it does nothing, so it can be
// deferred right after Admit.
func (call *Call) Release() {
	if p := call.permit; p.valid() {
		call.permit = permit{}
		call.client.admission.finish(p, errNotSent)
	}
}

// Get makes one HTTP attempt, or two where a slow one is hedged, and ends the call. (A kept connection that dies at
// this moment costs no attempt: the request is sent again on another one, signed again where calls are signed.)
//
// The error is an *Error, or ctx's error when the caller's own ctx ended first, or says that the query cannot be asked
// at all; nothing was sent then.
func (call *Call) Get(ctx context.Context, q Query) (Answer, error) {
	if !call.permit.valid() {
		return Answer{}, errors.New("getting balances: the call has ended: ask for another one with Admit")
	}
	if err := q.validate(); err != nil {
		call.Release()
		return Answer{}, fmt.Errorf("getting balances: %w", err)
	}
	p := call.permit
	call.permit = permit{}
	if call.client.cfg.HedgeAfter > 0 {
		return call.client.hedged(ctx, p, q)
	}
	return call.client.once(ctx, p, q)
}

// once makes one attempt and ends its permit, also when something panics: one that never ends would make others wait,
// a half-open breaker's all of them.
func (c *Client) once(ctx context.Context, p permit, q Query) (answer Answer, err error) {
	start := time.Now()
	var status int
	err = errNotSent
	defer func() { c.admission.finish(p, err) }()
	answer, status, err = c.attempt(ctx, q)
	if e, ok := errors.AsType[*Error](err); ok {
		e.CorrelationID = q.CorrelationID
	}
	c.obs.called(callClass(status, err), time.Since(start))
	return answer, err
}

func (q Query) validate() error {
	switch {
	case q.ContractID < schemas.MinContractID || q.ContractID > schemas.MaxContractID:
		return errors.New("the contract id is out of range")
	case len(q.Codes) == 0 || len(q.Codes) > schemas.MaxBalanceCodes:
		return fmt.Errorf("%d balance codes: 1 to %d can be asked for", len(q.Codes), schemas.MaxBalanceCodes)
	case !visibleASCII(q.CorrelationID, maxCorrelationID, false):
		return fmt.Errorf("the correlation id is not 1 to %d visible ASCII characters", maxCorrelationID)
	}
	for _, code := range q.Codes {
		if code == "" {
			return errors.New("a balance code is empty")
		}
	}
	return nil
}

// attempt makes the round trip within the attempt's own time limit. The status is 0 when no answer came.
func (c *Client) attempt(ctx context.Context, q Query) (_ Answer, status int, _ error) {
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()

	resp, err := c.transport.RoundTrip(c.request(limited, q))
	if err != nil {
		return Answer{}, 0, c.incomplete(ctx, nil, err)
	}
	defer func() { _ = resp.Body.Close() }() // reading it has told everything
	answer := Answer{RetrievedAt: time.Now(), CMSCorrelationID: cmsCorrelationID(resp.Header)}

	b, ok := c.bodies.Get().(*body)
	if !ok {
		b = newBody()
	}
	defer func() {
		if b.reset() {
			c.bodies.Put(b)
		}
	}()
	readErr := b.read(resp.Body, c.cfg.MaxResponseBytes)
	if readErr == nil {
		if err := b.plain(resp.Header, c.cfg.MaxResponseBytes); err != nil {
			return Answer{}, resp.StatusCode, c.coded(resp, err)
		}
		if err := c.decrypt(b); err != nil {
			return Answer{}, resp.StatusCode, c.undecrypted(resp, err)
		}
	}
	if resp.StatusCode/100 == 2 {
		answer.Balances, err = c.decode(ctx, resp, b, q.Codes, readErr)
	} else {
		err = c.refused(ctx, resp, b, readErr)
	}
	if err != nil {
		return Answer{}, resp.StatusCode, err
	}
	return answer, resp.StatusCode, nil
}

// decode reads the balances out of a 2xx.
func (c *Client) decode(ctx context.Context, resp *http.Response, b *body, codes []string, readErr error) (
	[]schemas.Balance, error,
) {
	if readErr != nil && !errors.Is(readErr, errTooLarge) {
		return nil, c.incomplete(ctx, resp, readErr)
	}
	err := readErr
	if err == nil {
		var balances []schemas.Balance
		if balances, err = decodeBalances(b.decoder(), codes); err == nil {
			return balances, nil
		}
	}
	if endsEarly(err) && closeDelimited(resp) {
		return nil, c.incomplete(ctx, resp, err)
	}
	e := newError(Undecodable, resp)
	e.Err = err
	return nil, e
}

// decrypt replaces an encrypted body by what is in it.
func (c *Client) decrypt(b *body) error {
	if c.cfg.Decrypter == nil {
		return nil
	}
	closed := b.buffer.Bytes()
	plain, err := c.cfg.Decrypter.Decrypt(closed)
	if err != nil || len(plain) > 0 && len(closed) > 0 && &plain[0] == &closed[0] {
		return err
	}
	b.buffer.Reset()
	_, err = b.buffer.Write(plain)
	return err
}
