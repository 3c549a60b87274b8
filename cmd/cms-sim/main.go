// Command cms-sim serves the CMS simulator of package cmssim: for staging, compose files and manual tests.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/balanceq/balanceq/cmssim/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program the hard way
	os.Exit(serve.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
