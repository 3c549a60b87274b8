//go:build unix && !aix

package http1

import "syscall"

// quiet leaves it to sendAndWait, which asks the kernel at the last moment, and once for both.
func (c *conn) quiet() bool { return c.raw != nil }

// empty says that a connection is open and that the kernel has nothing of it. It costs a system call, and no waiting.
func empty(fd uintptr) bool {
	var one [1]byte
	n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return n < 0 && err == syscall.EAGAIN // while there is nothing; n is 0 at the end of the stream
}

// sendAndWait sends from within the wait for an answer: what comes once the connection waits wakes it, so there is
// no first read that finds nothing. What came before does not wake it, and may be all that ever comes: TLS 1.3's
// alert that a certificate is missing, or the end of a stream whose other half stays open. So it looks when the wait
// has begun: what came before that look is seen by it, and what comes after it wakes.
//
// The same look says whether an idle connection is still as it was left. If not, nothing is sent.
func (c *conn) sendAndWait() {
	c.sent, c.sendErr = false, nil
	if c.raw == nil {
		c.sendErr = c.write()
		return
	}
	if c.talk == nil { // once for all calls: it would be allocated for each
		c.talk = c.lookAndSend
	}
	if err := c.raw.Read(c.talk); !c.sent { // else the read that follows has the wait's error
		c.sendErr = err
	}
}

// lookAndSend is asked before the wait and after it whether the connection may be read.
func (c *conn) lookAndSend(fd uintptr) bool {
	if c.sent {
		return true
	}
	c.sent = true
	came := !empty(fd)
	if came && c.reused {
		c.sendErr = errTouched
		return true
	}
	c.sendErr = c.write()
	return came || c.sendErr != nil || c.inRecords()
}
