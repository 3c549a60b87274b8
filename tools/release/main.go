// Command release does what a release needs beside building: it writes the licences of what a program is made of, tells
// whether lists of its modules agree, and cuts release notes from the changelog. release.sh calls it.
//
//	go run ./tools/release licences PROGRAM
//	go run ./tools/release sboms PROGRAM SBOM…
//	go run ./tools/release notes VERSION CHANGELOG
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "licences":
		return licences(ctx, out, args[1])
	case len(args) >= 3 && args[0] == "sboms":
		return compare(out, args[1], args[2:])
	case len(args) == 3 && args[0] == "notes":
		text, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		section, err := notes(args[1], string(text))
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, section)
		return err
	}
	return errors.New("usage: release licences PROGRAM | sboms PROGRAM SBOM… | notes VERSION CHANGELOG")
}
