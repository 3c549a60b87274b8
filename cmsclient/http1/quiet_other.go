//go:build !unix || aix

package http1

import (
	"errors"
	"net"
	"time"
)

// quiet says that the connection is open and that the kernel has nothing of it. Where the kernel cannot be asked, a
// read that is given no time is.
func (c *conn) quiet() bool {
	if c.tcp.SetReadDeadline(time.Now().Add(100*time.Microsecond)) != nil {
		return false
	}
	var one [1]byte
	n, err := c.tcp.Read(one[:])
	netErr, ok := errors.AsType[net.Error](err)
	return n == 0 && ok && netErr.Timeout()
}

// sendAndWait only sends where a connection cannot wait for the kernel alone: the read that follows waits.
func (c *conn) sendAndWait() { c.sendErr = c.write() }
