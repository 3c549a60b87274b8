//go:build linux

// Command record runs a program in a terminal of its own and writes what it showed as an animated SVG: no scripts, no
// fonts of its own, readable on light and dark pages. docs/demo.svg is made by it: make recording.
//
//	go run ./tools/record [flags] OUT.svg PROGRAM [ARGUMENTS]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("record", flag.ContinueOnError)
	columns := flags.Int("columns", 96, "width of the terminal")
	rows := flags.Int("rows", 22, "its height")
	every := flags.Duration("every", 500*time.Millisecond, "least time between two frames")
	hold := flags.Duration("hold", 10*time.Second, "how long the last frame stays")
	poster := flags.Duration("poster", 0, "the frame of that moment is shown where nothing may move")
	still := flags.Bool("still", false, "write the frame of --poster alone")
	title := flags.String("title", "", "what the recording shows, for those who do not see it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() < 2 {
		return errors.New("usage: record [flags] OUT.svg PROGRAM [ARGUMENTS]")
	}
	frames, err := record(ctx, flags.Args()[1:], *columns, *rows)
	if err != nil {
		return err
	}
	film := film{columns: *columns, rows: *rows, title: *title, hold: *hold, poster: *poster, frames: thin(frames, *every)}
	if *still {
		film.frames = film.frames[film.shown():][:1]
	}
	return os.WriteFile(flags.Arg(0), film.svg(), 0o644)
}

// record runs a command in a terminal and returns the screens that it drew. What it leaves behind is the last one.
func record(ctx context.Context, command []string, columns, rows int) ([]frame, error) {
	master, slave, err := openTerminal(columns, rows)
	if err != nil {
		return nil, fmt.Errorf("opening a terminal: %w", err)
	}
	defer func() { _ = master.Close() }()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=", "COLORTERM=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	begin := time.Now()
	err = cmd.Start()
	_ = slave.Close() // the command has its own
	if err != nil {
		return nil, err
	}
	s := newScreen(columns, rows)
	frames := []frame{{0, s.lines()}}
	buffer := make([]byte, 64<<10)
	for {
		n, err := master.Read(buffer)
		s.write(buffer[:n], func() { frames = append(frames, frame{time.Since(begin), s.lines()}) })
		if err != nil { // EIO: the last process that had the terminal is gone
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		_, _ = io.WriteString(os.Stderr, s.String())
		return nil, err
	}
	return append(frames, frame{time.Since(begin), s.lines()}), nil
}

// thin leaves out frames that come sooner than every after the one before, or show the same; the last one stays.
func thin(frames []frame, every time.Duration) []frame {
	kept := frames[:1:1]
	for i, f := range frames[1:] {
		last := kept[len(kept)-1]
		if i+2 == len(frames) || f.at-last.at >= every && !f.same(last) {
			kept = append(kept, f)
		}
	}
	return kept
}
