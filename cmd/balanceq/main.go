// Command balanceq answers balance requests from Kafka by asking the CMS.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // certificate authorities for the image, which holds only the program

	"github.com/balanceq/balanceq/internal/cli"
)

func main() {
	// net/http writes there what servers sent, which may be our secrets; run shows the rest of it
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains; a second one ends the program at once
	os.Exit(cli.Execute(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
