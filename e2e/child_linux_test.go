package e2e

import "syscall"

// diesWithUs makes the kernel end the child when the test process dies without having done so itself (a test that runs
// into its time limit does no cleaning up).
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
