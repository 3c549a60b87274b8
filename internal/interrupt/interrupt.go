// Package interrupt ends a program's work with the first signal, and the program with the second.
package interrupt

import (
	"context"
	"os"
	"os/signal"
)

// Context ends with the first of these signals. From then on they do what they do to a program that does not listen:
// they end it.
//
// signal.NotifyContext and its stop cannot have that order: its context ends first, and a second signal that comes
// before stop is called, which is as soon as somebody reads that the program is stopping, is swallowed.
func Context(signals ...os.Signal) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan os.Signal, 1)
	signal.Notify(first, signals...)
	go func() {
		<-first
		signal.Stop(first)
		cancel()
	}()
	return ctx
}
