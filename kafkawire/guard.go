package kafkawire

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
)

// guardedConn looks at the first answers of a connection. The very first belongs to kafka-go (ApiVersions), whose
// decoder believes every length it reads: an HTTP server's greeting costs it 4 GB and many seconds of work. And where a
// broker hangs up instead of answering, it finds out why.
type guardedConn struct {
	net.Conn
	explain func(request int, err error) error // err ended the wait for the answer to that request, from 1

	asked    int // requests so far
	answered bool
	checked  bool
	head     []byte // of the first answer, not passed on yet
}

// Write implements net.Conn. A connection carries one request at a time.
func (c *guardedConn) Write(b []byte) (int, error) {
	if c.answered || c.asked == 0 {
		c.asked, c.answered = c.asked+1, false
	}
	return c.Conn.Write(b)
}

// What a TLS server answers to something else begins with these (RFC 8446, sections 5.1 and 6).
const (
	tlsAlert = 21
	tlsMajor = 3
)

// Read passes the first answer on once its size is plausible.
func (c *guardedConn) Read(b []byte) (int, error) {
	if !c.checked {
		head := make([]byte, 4)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return 0, c.ended(err)
		}
		if head[0] == tlsAlert && head[1] == tlsMajor {
			return 0, &ListenerError{What: speaksTLS}
		}
		if err := checkSize(binary.BigEndian.Uint32(head)); err != nil {
			return 0, err
		}
		c.checked, c.head = true, head
	}
	c.answered = true
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if err != nil {
		err = c.ended(err)
	}
	return n, err
}

// earlyRequests are those that may come before a login, ApiVersions of kafka-go and of inspect, and the next one.
const earlyRequests = 3

// ended explains the end of a connection that has hardly begun.
func (c *guardedConn) ended(err error) error {
	if c.asked > earlyRequests {
		return err
	}
	return c.explain(c.asked, err)
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}
