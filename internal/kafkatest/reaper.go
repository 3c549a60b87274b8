package kafkatest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A test process can end without running another line of its own: a panic, the -timeout of go test, Ctrl-C, kill -9.
// Its containers would then stay. So the process starts a second one, the reaper, from the same executable, and tells
// it over a pipe which containers exist. The pipe closes when the test process ends, however it ends; the reaper then
// removes, by id, those that are left, and ends too.

// reaperEnv in the environment makes a test executable the reaper of its parent.
const reaperEnv = "BALANCEQ_KAFKATEST_REAPER"

const removeTimeout = time.Minute

// init becomes the reaper before a TestMain can run anything else.
func init() {
	if os.Getenv(reaperEnv) == "" {
		return
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // a terminal sends them to parent and child alike
	reap(os.Stdin, func(id string) error {
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		defer cancel()
		found, err := FindEngine(ctx)
		if err != nil {
			return err
		}
		return found.removeContainer(ctx, id)
	})
	os.Exit(0)
}

// reap reads lines "+id" and "-id" until the end, and removes what was added and not dropped. There is no one left to
// report to.
func reap(lines io.Reader, remove func(id string) error) {
	left := map[string]bool{}
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		if id, added := strings.CutPrefix(scanner.Text(), "+"); added {
			left[id] = true
		} else {
			delete(left, strings.TrimPrefix(scanner.Text(), "-"))
		}
	}
	for id := range left {
		_ = remove(id)
	}
}

// reaperProcess is the parent's side. The child starts with the first container.
type reaperProcess struct {
	mu   sync.Mutex
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

var watch reaperProcess

// add puts a container under watch.
func (r *reaperProcess) add(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		if err := r.start(); err != nil {
			return fmt.Errorf("starting reaper: %w", err)
		}
	}
	if _, err := fmt.Fprintln(r.pipe, "+"+id); err != nil {
		return fmt.Errorf("telling reaper: %w", err)
	}
	return nil
}

// start requires r.mu. The child does not inherit the output: go test would wait for the process that holds it.
func (r *reaperProcess) start() error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), executable)
	cmd.Env = append(os.Environ(), reaperEnv+"=1")
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd, r.pipe = cmd, pipe
	return nil
}

// drop says that a container has been removed. A reaper that missed it would find nothing to remove.
func (r *reaperProcess) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_, _ = fmt.Fprintln(r.pipe, "-"+id)
	}
}

// close lets the reaper remove what is left and waits for it.
func (r *reaperProcess) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return
	}
	_ = r.pipe.Close()
	_ = r.cmd.Wait()
	r.cmd, r.pipe = nil, nil
}
