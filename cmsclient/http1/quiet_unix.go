//go:build unix && !aix

package http1

import "syscall"

// quiet says that the connection is open and that the kernel has nothing of it. It costs a system call, and no waiting.
func (c *conn) quiet() bool {
	if c.raw == nil || c.tcp.SetDeadline(noDeadline) != nil {
		return false
	}
	var n int
	var failure error
	err := c.raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, failure = syscall.Recvfrom(int(fd), one[:],
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	// n is -1 with EAGAIN while there is nothing, 0 at the end of the stream.
	return err == nil && n < 0 && failure == syscall.EAGAIN
}
