package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/balanceq/balanceq/internal/poison"
)

// Exchange is a request that is ready to be sent on a connection, and then its answer. The connection belongs to it
// until Answer or Close, one of which has to follow, once. It belongs to one goroutine.
type Exchange struct {
	conn *conn
	ctx  context.Context //nolint:containedctx // the request's
}

// Wait sends the request, and returns when an answer begins or none will: Answer tells. Thousands of calls may be in
// here at the same time, each with a stack as large as what has called it makes it; so it needs little more, and no
// buffer.
func (x *Exchange) Wait() { x.conn.sendAndWait() }

// Room is what an answer is made of: its header, with the strings and the map, and its body's reader. A caller who does
// not use the answer any more, and has not changed its header, may have the next one put there.
type Room struct{ answer answer }

// Answer reads the answer's header into the room; the response names no request. The error is that of the request's
// context where that ended first. The answer's body has to be closed; reading it ends with the context, too.
func (x *Exchange) Answer(room *Room) (*http.Response, error) {
	resp, err := x.conn.receive(&room.answer)
	if err != nil {
		x.Close()
		how := callOf(x.ctx)
		return nil, how.endOf(x.ctx, err)
	}
	return resp, nil
}

// Close gives the answer up, and its connection with it.
func (x *Exchange) Close() { x.conn.close() }

// errTouched says that an idle connection has ended, or has something that was not asked for. Nothing was sent.
var errTouched = errors.New("an idle connection is not as its last call left it")

// prepare has a request ready to be sent. until zero: there is no limit to its time. After an error the connection has
// to be closed.
func (c *conn) prepare(ctx context.Context, r *http.Request, until time.Time) error {
	if err := c.tcp.SetDeadline(until); err != nil {
		return c.stale(err)
	}
	// A watch may have moved the deadline into the past before it was set here; then the context had ended, which shows.
	// One that acts later moves the one that was set here.
	if err := ctx.Err(); err != nil {
		return err
	}
	c.out, _ = requests.Get().(*request)
	return c.encode(c.out, r)
}

// write writes the request, whose buffer is used again at once: thousands may wait for an answer.
func (c *conn) write() error {
	_, err := c.wire.Write(c.out.bytes)
	poison.Bytes(c.out.bytes)
	requests.Put(c.out)
	c.out = nil
	return err
}

// receive reads an answer's header. After an error the connection has to be closed.
func (c *conn) receive(a *answer) (*http.Response, error) {
	if errors.Is(c.sendErr, errTouched) {
		return nil, &StaleError{errTouched}
	}
	// Also when it could not be sent: a server that closes for a reason may have said it before.
	c.header = c.transport.cfg.MaxHeader
	c.in, _ = readers.Get().(*bufio.Reader)
	c.in.Reset(c)
	if _, err := c.in.Peek(1); err != nil {
		return nil, c.stale(errors.Join(err, c.sendErr)) // what came says more: an alert of TLS
	}
	if err := a.read(c.in); err != nil {
		return nil, unexpected(err)
	}
	c.header = math.MaxInt64 // the caller bounds the body
	resp := a.response()
	a.stream = body{conn: c, reader: a.body, reusable: a.reusable && c.sendErr == nil}
	resp.Body = &a.stream
	if a.body == nil {
		a.stream.end()
	}
	return resp, nil
}

// inRecords says that TLS may have more of an answer than the kernel tells of.
func (c *conn) inRecords() bool {
	return slices.ContainsFunc(c.records, func(r *records) bool { return !r.between() })
}

// stale marks the end of a connection that had been kept and on which no answer began, unless time was up: then the
// server may well be at work.
func (c *conn) stale(err error) error {
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() || !c.reused {
		return err
	}
	return &StaleError{err}
}

// unexpected is the end of the stream where something has to follow.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
