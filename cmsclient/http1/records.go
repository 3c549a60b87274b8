package http1

import (
	"bufio"
	"net"
)

// records hands TLS one record at a time (RFC 8446 §5.1: a type, a version and a length, five bytes, then so many).
// Left to itself, crypto/tls reads ahead and keeps what it has: an unasked answer would lie in there
// unseen, and be taken for the next call's.
type records struct {
	net.Conn
	in   *bufio.Reader
	left int // bytes of the current record that are not handed over
}

const recordHeader = 5

func newRecords(wire net.Conn) *records { return &records{Conn: wire, in: bufio.NewReader(wire)} }

// Read implements net.Conn.
func (r *records) Read(p []byte) (int, error) {
	if r.left == 0 {
		head, err := r.in.Peek(recordHeader)
		if err != nil {
			return 0, err
		}
		r.left = recordHeader + int(head[3])<<8 + int(head[4])
	}
	n, err := r.in.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// between says that nothing is here of a record that TLS has not been given.
func (r *records) between() bool { return r.left == 0 && r.in.Buffered() == 0 }
