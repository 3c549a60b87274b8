package kafkawire

import (
	"encoding/binary"
	"io"
	"net"
)

// guardedConn looks at the size of the first answer of a connection. That one belongs to kafka-go (ApiVersions), whose
// decoder believes every length it reads: an HTTP server's greeting costs it 4 GB and many seconds of work.
type guardedConn struct {
	net.Conn
	checked bool
	head    []byte // of the first answer, not passed on yet
}

// Read passes the first answer on once its size is plausible.
func (c *guardedConn) Read(b []byte) (int, error) {
	if !c.checked {
		head := make([]byte, 4)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return 0, err
		}
		if err := checkSize(binary.BigEndian.Uint32(head)); err != nil {
			return 0, err
		}
		c.checked, c.head = true, head
	}
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
