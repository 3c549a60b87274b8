// Package registry asks a schema registry, by Confluent's API, about the schema ids of requests and results. Neither is
// needed to read a request: a registry that is away holds nothing up.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	callTimeout = 2 * time.Second
	maxAnswer   = 4 << 20 // bytes; a schema comes as one string
)

// Config says where the registry is and how it knows us.
type Config struct {
	// URLs are the addresses of one registry, at least one, which subjects and schemas are below; without user and
	// password.
	URLs      []string
	UserAgent string
	TLS       func() *tls.Config  // asked for each connection; nil: the system's authorities, and no client certificate
	Authorize func(*http.Request) // proves who asks, at each address; nil: nothing does
}

// Client asks a registry. It is safe for concurrent use, and keeps no connection open: it is asked seldom.
type Client struct {
	servers []server
	first   atomic.Int32 // of servers: the one that answered last
}

// server is one that has the registry's content.
type server struct {
	host string // for errors; empty: there is no other
	sr   *sr.Client
}

// New makes a client; it asks nothing yet.
func New(cfg Config) (*Client, error) {
	authorize := func(r *http.Request) error {
		if cfg.Authorize != nil {
			cfg.Authorize(r)
		}
		return nil
	}
	if len(cfg.URLs) == 0 {
		return nil, errors.New("a schema registry needs an address")
	}
	calls := &http.Client{
		Timeout: callTimeout, Transport: bounded{cfg.TLS},
		// A redirect is an answer: the password is for the address that the configuration names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c := new(Client)
	for _, address := range cfg.URLs {
		at, err := sr.NewClient(sr.URLs(address), sr.UserAgent(cfg.UserAgent), sr.PreReq(authorize), sr.HTTPClient(calls))
		if err != nil {
			return nil, err
		}
		s := server{sr: at}
		if u, err := url.Parse(address); err == nil && len(cfg.URLs) > 1 {
			s.host = u.Host
		}
		c.servers = append(c.servers, s)
	}
	return c, nil
}

// bounded makes each call on a connection of its own, by the TLS settings as they are then, and reads no answer
// without an end.
type bounded struct{ tls func() *tls.Config }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	if b.tls != nil {
		t.TLSClientConfig = b.tls()
	}
	answer, err := t.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}

// Error says that a registry did not answer, or refused. Of an address it repeats the host at most, where there are
// several, and of an answer its code and nothing of its own words, which could be anything.
type Error struct {
	Host   string // empty: there is one address
	Status int    // of HTTP; 0: there was no answer, or not one that a registry gives
	Code   int    // the registry's own, such as 40403; 0: none
	Err    error  // why there was none; nil where there was one
	Before *Error // of the address that was asked before this one, and failed too; nil: none was
}

func (e *Error) Error() string {
	who := "the schema registry"
	if e.Host != "" {
		who += " at " + e.Host
	}
	var what string
	switch {
	case e.Status == 0:
		what = ": " + e.Err.Error()
	case sr.ErrorForCode(e.Code) != sr.ErrUnknown:
		what = fmt.Sprintf(" answers HTTP %d, %d: %s", e.Status, e.Code,
			strings.TrimSuffix(sr.ErrorForCode(e.Code).Description, "."))
	default:
		what = fmt.Sprintf(" answers HTTP %d", e.Status)
	}
	if e.Before != nil {
		what += "; " + e.Before.Error()
	}
	return who + what
}

// Unwrap returns what is behind it.
func (e *Error) Unwrap() error { return e.Err }

// NotFound says that the registry knows its whole content, and that what was asked for is not part of it. A 404 of
// something else, such as a proxy, has no such code.
func (e *Error) NotFound() bool { return e.Status == http.StatusNotFound && sr.IsNotFoundError(e.Code) }

// Denied says that the registry does not know us, or does not let us.
func (e *Error) Denied() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// Away says that it may be over by itself: no answer, or one that a registry gives that fails.
func (e *Error) Away() bool {
	return e.Status == 0 || e.Status >= 500 || e.Status == http.StatusTooManyRequests ||
		e.Status == http.StatusRequestTimeout
}

// Certificate says that the TLS connection was refused for want of a client certificate that is taken.
func (e *Error) Certificate() bool {
	alert, ok := errors.AsType[*net.OpError](e.Err)
	if !ok || alert.Op != "remote error" {
		return false
	}
	what := alert.Err.Error() // RFC 8446, section 6.2; servers of TLS 1.2 call it a handshake that failed
	return strings.Contains(what, "certificate") || strings.Contains(what, "handshake failure")
}

// Final says that another address of the registry would say the same: it is of the content that all of them have, or of
// who asks.
func (e *Error) Final() bool {
	return e.Denied() || !e.Away() && sr.ErrorForCode(e.Code) != sr.ErrUnknown
}

// ask puts a question to the registry's addresses in turn until one answers, beginning with the one that did last. Each
// may take an equal share of the time that is left. Its errors are *Error.
func (c *Client) ask(ctx context.Context, question func(context.Context, *sr.Client) error) error {
	var before *Error
	first, n := int(c.first.Load()), len(c.servers)
	for i := range n {
		at := (first + i) % n
		attempt, cancel := share(ctx, n-i)
		err := question(attempt, c.servers[at].sr)
		cancel()
		if err == nil {
			c.first.Store(int32(at)) //nolint:gosec // one of a configuration's addresses
			return nil
		}
		failed := explain(err)
		failed.Host, failed.Before = c.servers[at].host, before
		if before = failed; failed.Final() || ctx.Err() != nil {
			break
		}
	}
	return before
}

// share bounds the first of n attempts.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if !bounded || n == 1 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, time.Until(end)/time.Duration(n))
}

func explain(err error) *Error {
	if refused, ok := errors.AsType[*sr.ResponseError](err); ok {
		return &Error{Status: refused.StatusCode, Code: refused.ErrorCode}
	}
	if failed, ok := errors.AsType[*url.Error](err); ok { // which says the whole address
		return &Error{Err: failed.Err}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{Err: fmt.Errorf("its answer is longer than %d bytes", maxAnswer)}
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Err: errors.New("its answer broke off")}
	}
	return &Error{Err: errNoRegistry}
}

// notFound is Error.NotFound of what the library returned.
func notFound(err error) bool { return err != nil && explain(err).NotFound() }

var errNoRegistry = errors.New("what answers at its address does not speak Confluent's API")

// ID returns the id by which the registry knows a JSON schema under a subject. Where it does not, and register is set,
// it is told the schema. Its errors are *Error.
func (c *Client) ID(ctx context.Context, subject, schema string, register bool) (id uint32, _ error) {
	wanted := sr.Schema{Schema: schema, Type: sr.TypeJSON}
	err := c.ask(ctx, func(ctx context.Context, at *sr.Client) error {
		found, err := at.LookupSchema(ctx, subject, wanted)
		if notFound(err) {
			found, err = at.LookupSchema(sr.WithParams(ctx, sr.Normalize), subject, wanted) // its members in another order
		}
		if notFound(err) && register {
			found.ID, err = at.RegisterSchema(ctx, subject, wanted, -1, -1)
		}
		switch {
		case err != nil:
			return err
		case found.ID <= 0 || found.ID > math.MaxInt32:
			return errNoRegistry
		}
		id = uint32(found.ID)
		return nil
	})
	return id, err
}

// Has says whether the registry knows one of these subjects. Its errors are *Error.
func (c *Client) Has(ctx context.Context, subjects []string) (has bool, _ error) {
	err := c.ask(ctx, func(ctx context.Context, at *sr.Client) error {
		for _, subject := range subjects {
			versions, err := at.SubjectVersions(ctx, subject)
			if err != nil && !notFound(err) {
				return err
			}
			if has = err == nil && len(versions) > 0; has {
				return nil
			}
		}
		return nil
	})
	return has, err
}

// description is what a registry says of an id.
type description struct {
	known   bool
	kind    sr.SchemaType
	allowed bool // it is JSON, of one of the subjects that were asked for
}

// describe asks for the schema with this id. Its errors are *Error.
func (c *Client) describe(ctx context.Context, id uint32, subjects []string) (d description, _ error) {
	err := c.ask(ctx, func(ctx context.Context, at *sr.Client) error {
		d = description{}
		schema, err := at.SchemaByID(ctx, int(id))
		switch {
		case notFound(err):
			return nil
		case err != nil:
			return err
		case schema.Schema == "":
			return errNoRegistry
		}
		d.known, d.kind = true, schema.Type
		if d.kind != sr.TypeJSON {
			return nil
		}
		of, err := at.SubjectsByID(ctx, int(id))
		d.allowed = slices.ContainsFunc(of, func(s string) bool { return slices.Contains(subjects, s) })
		return err
	})
	return d, err
}
