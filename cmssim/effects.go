package cmssim

import (
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"time"
)

// call is one call on its way to its answer.
type call struct {
	sim     *Simulator
	w       http.ResponseWriter
	r       *http.Request
	arrived time.Time
	record  *Call // nil: not recorded
}

// suffer does to the call what the fault says; its delay has passed.
func (c *call) suffer(f *rule) {
	switch f.fault.Effect {
	case EffectStatus:
		c.retryAfter(f)
		body := f.body
		if f.fault.Body == "" {
			body = c.sim.sealer.seal(f.fault.Status, body)
		}
		c.answer(f.fault.Status, f.mediaType, body)
	case EffectGarbage:
		c.answer(http.StatusOK, f.mediaType, f.body)
	case EffectHang:
		select {
		case <-c.r.Context().Done():
		case <-c.sim.closed:
		}
		c.abandon()
	case EffectReset:
		c.reset()
	case EffectTruncate:
		c.truncate(f.fault.Mode)
	case EffectDelay:
		c.answerAsCMS()
	}
}

// verified answers a call whose signature is not accepted, and reports whether it is.
func (c *call) verified() bool {
	refused := c.sim.verifier.check(c.r, c.sim.clock())
	if refused == nil {
		return true
	}
	c.sim.counters.refused[refused.cause].Add(1)
	c.answer(refused.status, mediaJSON, refused.error.append(nil))
	return false
}

// retryAfter sets the header that the fault asks for. A date is rounded up to its whole seconds, so that a client that
// keeps to it does not come early.
func (c *call) retryAfter(f *rule) {
	switch {
	case f.fault.RetryAfterDate:
		wait := time.Duration(f.fault.RetryAfter)*time.Second + time.Second - 1
		c.w.Header()["Retry-After"] = []string{c.sim.clock().Add(wait).UTC().Format(http.TimeFormat)}
	case f.retry != nil:
		c.w.Header()["Retry-After"] = f.retry
	}
}

// answerAsCMS gives the documented answer.
func (c *call) answerAsCMS() {
	body, ok := bodies.Get().(*[]byte)
	if !ok {
		body = new([]byte)
	}
	status, b := appendAnswer((*body)[:0], c.r.Method, c.r.URL)
	if status == http.StatusMethodNotAllowed {
		c.w.Header()["Allow"] = allowGet
	}
	c.answer(status, mediaJSON, c.sim.sealer.seal(status, b))
	*body = b
	bodies.Put(body)
}

// answer sends a whole answer; net/http adds the Content-Length.
func (c *call) answer(status int, mediaType []string, body []byte) {
	c.head(status, mediaType)
	_, _ = c.w.Write(body) // fails only if the client is gone, which is its right
}

// head counts the answer and sends its status and headers.
func (c *call) head(status int, mediaType []string) {
	c.sim.counters.byStatus[status].Add(1)
	if c.record != nil {
		c.sim.recorder.answered(c.record, status)
	}
	h := c.w.Header()
	h["Content-Type"] = mediaType
	if c.sim.config.ClockOffset != 0 {
		h["Date"] = []string{c.sim.clock().UTC().Format(http.TimeFormat)}
	}
	h["X-Mc-Correlation-Id"] = []string{c.sim.correlationID(c.arrived)}
	c.w.WriteHeader(status)
}

// truncate sends the first half of the right answer. With a Content-Length, net/http itself closes a connection whose
// handler wrote less than it promised; a chunked answer is cut by aborting the handler after a flush.
func (c *call) truncate(mode string) {
	status, body := appendAnswer(nil, c.r.Method, c.r.URL)
	body = c.sim.sealer.seal(status, body)
	half := body[:len(body)/2]
	if mode != ModeChunked {
		c.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
		c.head(status, mediaJSON)
		_, _ = c.w.Write(half)
		return
	}
	c.head(status, mediaJSON)
	_, _ = c.w.Write(half)
	_ = http.NewResponseController(c.w).Flush() // without it nothing of the answer would reach the client
	panic(http.ErrAbortHandler)                 // net/http's own way to cut an answer; it is not logged
}

// reset closes the connection so that the client sees a RST instead of an orderly end: the kernel sends one when a
// socket with linger 0 is closed.
func (c *call) reset() {
	c.sim.counters.unanswered.Add(1)
	conn, _, err := http.NewResponseController(c.w).Hijack()
	if err != nil { // a writer without a connection of its own, as HTTP/2's
		panic(http.ErrAbortHandler)
	}
	if secure, ok := conn.(*tls.Conn); ok { // below it: closing TLS would say goodbye first
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// abandon ends a call without an answer. A client that gave up sees nothing of it; one that still waits sees its
// connection closed, not an empty 200.
func (c *call) abandon() {
	c.sim.counters.unanswered.Add(1)
	if c.r.Context().Err() == nil {
		panic(http.ErrAbortHandler)
	}
}
