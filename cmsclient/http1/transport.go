// Package http1 sends requests without a body to one server over HTTP/1.1 (RFC 9112), and reads the answers, on the
// caller's goroutine. A call goes in steps, so that thousands can wait for their answers with little on their stacks.
//
// net/http gives each connection two goroutines, and each call two changes between them and its own: more than half of
// what a call costs. Here there is none. What those goroutines do beside is done at other moments: whether an idle
// connection is still alive, and silent, is looked at right before it is used again; a caller that gives up moves the
// connection's deadline into the past.
//
// The rule that all else follows from: a connection is used again only if everything that was sent on it is an answer
// to what was asked, read to its end. Whatever else is found there, before, in or behind an answer, closes it. So
// nothing that has come by the time a connection is taken can be the answer to the call that takes it.
package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Config says how to connect.
type Config struct {
	// TLS is for https; cloned. The server's name is the URL's host where it names none.
	TLS *tls.Config
	// Proxy returns the proxy for a request, or none; it is asked for each new connection. Schemes: http, https, socks5.
	Proxy func(*http.Request) (*url.URL, error)
	// ConnectTime is how long connecting may take, and then again the handshake, with a proxy's and with the server's.
	ConnectTime time.Duration
	// IdleTime is how long a connection that is not used is kept.
	IdleTime time.Duration
	// MaxHeader bounds an answer's header, those of interim answers included, in bytes.
	MaxHeader int64
}

// Transport is a http.RoundTripper for one server. It is safe for concurrent use. It has as many connections as there
// have been calls at the same time within the idle time: a call uses one of its own until its answer's body is read to
// the end or closed.
type Transport struct {
	cfg    Config
	origin atomic.Pointer[origin] // of the first request

	connecting chan struct{} // has one for each connection that is being opened

	mu    sync.Mutex
	idle  []*conn // the last one is used next, so that those that are not needed grow old
	ended bool    // CloseIdleConnections was called: none becomes idle any more
	sweep *time.Timer
}

// New returns a transport. It connects to nothing.
func New(cfg Config) *Transport {
	return &Transport{cfg: cfg, connecting: make(chan struct{}, maxConnecting)}
}

// maxConnecting bounds how many connections are opened at the same time: thousands of calls may begin together, after a
// start. All at once, their handshakes would take seconds, and a stack each that is larger than all else of a call.
const maxConnecting = 256

// StaleError is the end of a connection that had been used before and on which no answer came: most likely the server
// closed it while it was idle, and never saw the request. It can be sent again.
type StaleError struct{ Err error }

func (e *StaleError) Error() string { return "an idle connection had ended: " + e.Err.Error() }

func (e *StaleError) Unwrap() error { return e.Err }

// ProxyStatusError is a proxy's answer to CONNECT that is not 200.
type ProxyStatusError struct{ Status int }

func (e *ProxyStatusError) Error() string {
	return fmt.Sprintf("the proxy does not connect to the server, it answers with status %d", e.Status)
}

// RoundTrip implements http.RoundTripper for GET: Prepare, Wait and Answer.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		x, err := t.Prepare(r)
		if err != nil {
			return nil, err
		}
		x.Wait()
		resp, err := x.Answer(&Room{})
		if errors.Is(err, errTouched) {
			continue
		}
		if err == nil {
			resp.Request = r
		}
		return resp, err
	}
}

// Prepare takes a connection, or opens one, and has a GET ready on it. Nothing is kept of r but its context, under
// which the exchange goes on. The error is the context's where that ended first.
func (t *Transport) Prepare(r *http.Request) (Exchange, error) {
	if r.Body != nil {
		_ = r.Body.Close() // http.RoundTripper demands it
	}
	if r.Method != http.MethodGet || r.Body != nil && r.Body != http.NoBody {
		return Exchange{}, errors.New("http1: only GET without a body is sent")
	}
	if err := t.sameOrigin(r.URL); err != nil {
		return Exchange{}, err
	}
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return Exchange{}, err
	}
	how := callOf(ctx)
	var c *conn
	if !how.fresh {
		c = t.take(ctx)
	}
	if c == nil {
		var err error
		if c, err = t.open(ctx, r, how.until); err != nil {
			return Exchange{}, how.endOf(ctx, err)
		}
	}
	if err := c.prepare(ctx, r, how.until); err != nil {
		c.close()
		return Exchange{}, how.endOf(ctx, err)
	}
	return Exchange{c, ctx}, nil
}

// open connects within the call's time.
func (t *Transport) open(ctx context.Context, r *http.Request, until time.Time) (*conn, error) {
	if err := t.awaitTurn(ctx, until); err != nil {
		return nil, err
	}
	defer func() { <-t.connecting }()
	c, err := t.connectAside(ctx, r, until)
	if err == nil {
		c.watch(ctx) // it is new, so there is none that could have acted
	}
	return c, err
}

// awaitTurn waits until another connection may be opened. After an error it may not.
func (t *Transport) awaitTurn(ctx context.Context, until time.Time) error {
	select {
	case t.connecting <- struct{}{}:
		return nil
	default:
	}
	var end <-chan time.Time // nil: there is none
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		end = timer.C
	}
	select {
	case t.connecting <- struct{}{}:
		return nil
	case <-end:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connectAside connects on a goroutine of its own: finding the server, connecting and a handshake take twice the stack
// that all else of a call does, and the caller's, once grown, would stay so for as long as its calls go on.
func (t *Transport) connectAside(ctx context.Context, r *http.Request, until time.Time) (c *conn, err error) {
	var cause any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { cause = recover() }()
		if !until.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, until)
			defer cancel()
		}
		c, err = t.connect(ctx, r)
	}()
	<-done
	if cause != nil {
		panic(fmt.Sprint(cause)) // on the caller's goroutine, where it is expected
	}
	return c, err
}

// origin is where a URL leads.
type origin struct{ scheme, host string }

// sameOrigin refuses what is not for the server of the first request: its connections are this one's.
func (t *Transport) sameOrigin(u *url.URL) error {
	is := t.origin.Load()
	if is == nil {
		if u.Host == "" || !httpguts.ValidHostHeader(u.Host) || u.Scheme != "http" && u.Scheme != "https" {
			return errServer
		}
		t.origin.CompareAndSwap(nil, &origin{u.Scheme, u.Host})
		is = t.origin.Load()
	}
	if is.scheme != u.Scheme || is.host != u.Host {
		return errServer
	}
	return nil
}

var errServer = errors.New("http1: a transport sends to one server, over http or https")

// take returns the connection that was used last, if there is one that is as it was left, as far as can be told before
// it is used.
func (t *Transport) take(ctx context.Context) *conn {
	for {
		t.mu.Lock()
		n := len(t.idle)
		if n == 0 {
			t.mu.Unlock()
			return nil
		}
		c := t.idle[n-1]
		t.idle[n-1] = nil
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		if time.Since(c.since) < t.cfg.IdleTime && c.watch(ctx) && c.untouched() {
			c.reused = true
			return c
		}
		c.close()
	}
}

// put keeps a connection for the next call.
func (t *Transport) put(c *conn) {
	c.since = time.Now().Round(0) // by the wall clock, which goes on while a machine is suspended
	if !t.keep(c) {
		c.close()
	}
}

func (t *Transport) keep(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.idle = append(t.idle, c)
	if t.sweep == nil {
		t.sweep = time.AfterFunc(t.cfg.IdleTime, t.closeOld)
	}
	return true
}

// closeOld closes what has been idle for too long, and comes again while there is anything idle.
func (t *Transport) closeOld() { closeAll(t.takeOld()) }

func (t *Transport) takeOld() (old []*conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.idle) && time.Since(t.idle[n].since) >= t.cfg.IdleTime {
		n++
	}
	old = slices.Clone(t.idle[:n])
	t.idle = slices.Delete(t.idle, 0, n)
	switch {
	case t.ended:
	case len(t.idle) == 0:
		t.sweep = nil
	default:
		t.sweep.Reset(max(t.cfg.IdleTime-time.Since(t.idle[0].since), time.Millisecond))
	}
	return old
}

// closeAll runs without the lock: TLS says goodbye on each, which is a system call.
func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}

// CloseIdleConnections closes the idle connections, and those in use when their call has ended. Calls can still be
// made; each has a connection of its own then.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	t.ended = true
	idle := t.idle
	t.idle = nil
	if t.sweep != nil {
		t.sweep.Stop()
		t.sweep = nil
	}
	t.mu.Unlock()
	closeAll(idle)
}
