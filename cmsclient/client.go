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
	sending   *sending
	admission *admission
	requests  sync.Pool // of *outgoing
	bodies    sync.Pool // of *body
}

// Query is what to ask.
type Query struct {
	ContractID    int64    // schemas.MinContractID to schemas.MaxContractID
	Codes         []string // 1 to schemas.MaxBalanceCodes, none empty
	CorrelationID string   // sent as Correlation-Id: 1 to 128 visible ASCII characters
	Traceparent   string   // of W3C Trace Context, valid, sent as it is; "": none
	// Attempt, if set, is told of the beginning of each HTTP attempt, and returns its traceparent and what to tell of the
	// end: the status of the answer, 0: none came, and one of the Call classes.
	Attempt func() (traceparent string, ended func(status int, class string))
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
		sending:   newSending(cfg),
		admission: newAdmission(cfg, obs),
	}
	return c, nil
}

// Close closes the idle connections. No call may be under way, and none may follow.
func (c *Client) Close() {
	c.admission.mu.Lock()
	c.admission.closed = true
	c.admission.pump(time.Now()) // stops the timer
	c.admission.unlock()
	c.sending.CloseIdleConnections()
}

// Admit waits until a call may be made: while the breaker is open, or half-open with its probe under way, in a
// cool-down after a 429, while halted, when rate or quota are used up, and while as many calls are under way as may be.
// Its only error is ctx's. The caller must end the call with Answer or Release: a probe that never ends keeps all
// others waiting.
func (c *Client) Admit(ctx context.Context) (*Call, error) { return c.admit(ctx, first) }

// AdmitRetry is Admit for a request that has failed while the CMS works: it also waits for the retry budget.
func (c *Client) AdmitRetry(ctx context.Context) (*Call, error) { return c.admit(ctx, retry) }

func (c *Client) admit(ctx context.Context, k kind) (*Call, error) {
	p, err := c.admission.admit(ctx, k)
	if err != nil {
		return nil, err
	}
	return &Call{attempt: attempt{client: c, permit: p}}, nil
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
