// Command balanceq answers balance requests from Kafka by asking the CMS.
package main

import (
	"io"
	"log"
	"os"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // certificate authorities for the image, which holds only the program

	"github.com/balanceq/balanceq/internal/cli"
	"github.com/balanceq/balanceq/internal/interrupt"
)

func main() {
	// net/http writes there what servers sent, which may be our secrets; run shows the rest of it
	log.SetOutput(io.Discard)
	ctx := interrupt.Context(os.Interrupt, syscall.SIGTERM) // the first drains; a second one ends the program at once
	os.Exit(cli.Execute(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
