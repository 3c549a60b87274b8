package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/printable"
)

// loggedIn is a connection that a broker knows the user of. Brokers end that after a while (the end of a token, or
// connections.max.reauth.ms), and then drop the connection at the next request. kafka-go does not see to it; so it is
// done here, beneath kafka-go: where the end is near, the login is repeated on the same connection before the next
// request goes out (KIP-368). No request fails for it.
type loggedIn struct {
	net.Conn
	mechanism sasl.Mechanism
	formatter *kmsg.RequestFormatter
	address   string    // of the broker, host:port, as it is dialled
	renewAt   time.Time // zero: it does not end

	// A connection carries one request at a time: what is written after something was read begins a request, and no
	// answer is on its way that could be taken for one to the login.
	answered bool
}

// Read implements net.Conn.
func (c *loggedIn) Read(b []byte) (int, error) {
	c.answered = true
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *loggedIn) Write(b []byte) (int, error) {
	if c.answered && !c.renewAt.IsZero() && !time.Now().Before(c.renewAt) {
		// The connection's deadline is the request's.
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		err := c.login(ctx)
		cancel()
		if err != nil {
			return 0, err
		}
	}
	c.answered = false
	return c.Conn.Write(b)
}

// login runs the mechanism's exchange (SaslHandshake v1, SaslAuthenticate v1).
func (c *loggedIn) login(ctx context.Context) error {
	if host, port, err := net.SplitHostPort(c.address); err == nil {
		n, _ := strconv.Atoi(port)
		ctx = sasl.WithMetadata(ctx, &sasl.Metadata{Host: host, Port: n})
	}
	if answer, err := handshake(ctx, c.Conn, c.mechanism.Name(), c.formatter); err != nil {
		return err
	} else if answer.ErrorCode != 0 {
		return mechanismRefused(c.mechanism.Name(), answer)
	}
	session, response, err := c.mechanism.Start(ctx)
	if err != nil {
		return err
	}
	for done := false; !done; {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version = 1
		req.SASLAuthBytes = response
		answer, err := ask[*kmsg.SASLAuthenticateResponse](ctx, c.Conn, req, c.formatter)
		switch {
		case hungUp(err): // Kafka says why it refuses; one that is just stopping cannot
			return fmt.Errorf("the broker ended the connection during the login: %w", err)
		case err != nil:
			return err
		case answer.ErrorCode != 0:
			return explained(answer.ErrorCode, printed(answer.ErrorMessage))
		}
		if done, response, err = session.Next(ctx, answer.SASLAuthBytes); err != nil {
			return err
		}
		c.renewAt = renewal(time.Now(), time.Duration(answer.SessionLifetimeMillis)*time.Millisecond)
	}
	return nil
}

// renewal is when a login is repeated that lasts so long: early enough for a slow request before it, and not by all
// connections at once.
func renewal(now time.Time, lifetime time.Duration) time.Time {
	if lifetime <= 0 {
		return time.Time{}
	}
	part := 0.75 + 0.1*rand.Float64()
	return now.Add(max(leastRenewal, time.Duration(part*float64(lifetime))))
}

// handshake says by which mechanism a login is to come.
func handshake(ctx context.Context, conn net.Conn, mechanism string, f *kmsg.RequestFormatter) (
	*kmsg.SASLHandshakeResponse, error,
) {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version = 1
	req.Mechanism = mechanism
	return ask[*kmsg.SASLHandshakeResponse](ctx, conn, req, f)
}

// leastRenewal is more than the second within which brokers refuse to hear a login again (they hear one that comes too
// late).
const leastRenewal = 1100 * time.Millisecond

// mechanismRefused says what the broker takes instead.
func mechanismRefused(name string, answer *kmsg.SASLHandshakeResponse) error {
	err := CodeError(answer.ErrorCode)
	switch {
	case errors.Is(err, kafka.IllegalSASLState):
		return &ListenerError{What: noLogin, Err: err}
	case errors.Is(err, kafka.UnsupportedSASLMechanism):
		return fmt.Errorf("%w: the listener takes no %s but %s", err, name,
			printable.Text(fmt.Sprint(answer.SupportedMechanisms)))
	}
	return err
}

func printed(text *string) *string {
	if text == nil {
		return nil
	}
	safe := printable.Text(*text)
	return &safe
}

// ask has one request answered on a connection of its own.
func ask[R kmsg.Response](ctx context.Context, conn net.Conn, req kmsg.Request, f *kmsg.RequestFormatter) (R, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	e := &exchange{ctx, req, f}
	resp, err := e.converse(conn)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		var none R
		return none, err
	}
	a, ok := resp.(*answer)
	if !ok {
		var none R
		return none, fmt.Errorf("kafka: unexpected answer %T", resp)
	}
	return Typed[R](a.resp, nil)
}
