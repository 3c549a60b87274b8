//go:build unix

package preflight

import "syscall"

// openFiles returns how many files the process may have open: Go raises the soft limit to the hard one at its start.
func openFiles() (limit uint64, known bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return uint64(l.Cur), err == nil //nolint:unconvert // FreeBSD's is signed
}
