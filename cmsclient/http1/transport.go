// Package http1 sends requests without a body to one server over HTTP/1.1 (RFC 9112), and reads the answers, on the
// caller's goroutine.
//
// net/http gives each connection two goroutines, and each call two changes between them and its own: more than half of
// what a call costs. Here there is none. What those goroutines do beside is done at other moments: whether an idle
// connection is still alive, and silent, is looked at when it is taken again; a caller that gives up moves the
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

	mu    sync.Mutex
	idle  []*conn // the last one is used next, so that those that are not needed grow old
	ended bool    // CloseIdleConnections was called: none becomes idle any more
	sweep *time.Timer
}

// New returns a transport. It connects to nothing.
func New(cfg Config) *Transport { return &Transport{cfg: cfg} }

// StaleError is the end of a connection that had been used before and on which nothing came: most likely the server
// closed it while it was idle, and never saw the request. It can be sent again.
type StaleError struct{ Err error }

func (e *StaleError) Error() string { return "an idle connection had ended: " + e.Err.Error() }

func (e *StaleError) Unwrap() error { return e.Err }

// ProxyStatusError is a proxy's answer to CONNECT that is not 200.
type ProxyStatusError struct{ Status int }

func (e *ProxyStatusError) Error() string {
	return fmt.Sprintf("the proxy does not connect to the server, it answers with status %d", e.Status)
}

// RoundTrip implements http.RoundTripper for GET. The error is the context's where that ended first. The answer's body
// has to be closed; reading it ends with the context, too.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close() // http.RoundTripper demands it
	}
	if r.Method != http.MethodGet || r.Body != nil && r.Body != http.NoBody {
		return nil, errors.New("http1: only GET without a body is sent")
	}
	if err := t.sameOrigin(r.URL); err != nil {
		return nil, err
	}
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var c *conn
	if ctx.Value(newConnection{}) == nil {
		c = t.take()
	}
	if c == nil {
		var err error
		if c, err = t.connect(ctx, r); err != nil {
			return nil, endOf(ctx, err)
		}
	}
	resp, err := c.exchange(ctx, r)
	if err != nil {
		c.close()
		return nil, endOf(ctx, err)
	}
	return resp, nil
}

type newConnection struct{}

// OnNewConnection makes a context whose call takes no idle connection: where one had ended, others may have as well.
func OnNewConnection(ctx context.Context) context.Context {
	return context.WithValue(ctx, newConnection{}, true)
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

// endOf returns the context's error where it has ended: what fails then, fails because of it.
func endOf(ctx context.Context, err error) error {
	if end := ctx.Err(); end != nil && !errors.Is(err, end) {
		return end
	}
	return err
}

// take returns the connection that was used last, if there is one that is as it was left.
func (t *Transport) take() *conn {
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
		if time.Since(c.since) < t.cfg.IdleTime && c.untouched() {
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
