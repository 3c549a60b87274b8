// Command cms-sim serves the CMS simulator of package cmssim: for staging, compose files and manual tests.
package main

import (
	"os"
	"syscall"

	"github.com/balanceq/balanceq/cmssim/serve"
	"github.com/balanceq/balanceq/internal/interrupt"
)

func main() {
	os.Exit(serve.Run(interrupt.Context(os.Interrupt, syscall.SIGTERM), os.Args[1:], os.Stdout, os.Stderr))
}
