package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/tools/bench/stub"
)

// program starts a shell script in place of the program, with the file that it makes when it has begun.
func program(t *testing.T, script string) (p *instance, failures chan error) {
	t.Helper()
	cms, err := stub.Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cms.Close() })
	binary, begun := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "begun")
	script = "#!/bin/sh\n" + strings.ReplaceAll(script, "BEGUN", `echo "$@" >`+begun)
	if err := os.WriteFile(binary, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	failures = make(chan error, 1)
	o := options{binary: binary, delivery: exactlyOnce, flags: []string{"--last=1"}}
	b := &bench{options: o, cms: cms, fail: func(err error) { failures <- err }}
	if p, err = b.start("--first=1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	for deadline := time.Now().Add(20 * time.Second); ; wait.Sleep(t.Context(), 5*time.Millisecond) {
		if args, err := os.ReadFile(begun); err == nil && len(args) > 0 {
			if s := string(args); !strings.Contains(s, "--delivery=exactly-once") ||
				!strings.HasSuffix(s, "--first=1 --last=1\n") {
				t.Errorf("arguments: %s", s)
			}
			return p, failures
		}
		if time.Now().After(deadline) {
			t.Fatal("the script does not begin")
		}
	}
}

func TestInstanceStops(t *testing.T) {
	p, failures := program(t, "trap 'exit 0' TERM; BEGUN; while :; do sleep 0.01; done")
	if err := p.stop(); err != nil || len(failures) != 0 {
		t.Error(err, len(failures))
	}
}

func TestInstanceStopsBadly(t *testing.T) {
	p, failures := program(t, "trap 'exit 3' TERM; BEGUN; while :; do sleep 0.01; done")
	if err := p.stop(); err == nil || !strings.Contains(err.Error(), "exit status 3") || len(failures) != 0 {
		t.Error(err, len(failures))
	}
}

func TestInstanceIsKilled(t *testing.T) {
	p, failures := program(t, "trap '' TERM; BEGUN; while :; do sleep 0.01; done")
	p.kill()
	p.kill() // which does nothing
	if len(failures) != 0 {
		t.Error(<-failures)
	}
}

func TestInstanceEndsByItself(t *testing.T) {
	p, failures := program(t, "BEGUN; exit 2")
	<-p.exited
	if len(failures) != 1 {
		t.Fatal("it is not told")
	}
	if err := <-failures; err == nil || !strings.Contains(err.Error(), "exit status 2") {
		t.Error(err)
	}
}

func TestInstanceIsMissing(t *testing.T) {
	cms, err := stub.Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cms.Close() }()
	b := &bench{options: options{binary: filepath.Join(t.TempDir(), "none")}, cms: cms}
	if _, err := b.start(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make build") {
		t.Error(err)
	}
}

// An instance with a static slot keeps its name, to find what it has left behind; all others are newcomers.
func TestLaunchNames(t *testing.T) {
	for instances, want := range map[string]string{
		static:  "--kafka.client-id=bench-2 --kafka.instance-id=bench-2 --instance=bench-2",
		dynamic: "--kafka.client-id=bench-2 --instance=bench-2-start-2",
	} {
		g := newGroup(t)
		g.instances, g.binary, g.fail = instances, "/bin/true", func(error) {}
		for range 2 {
			if err := g.launch(2); err != nil {
				t.Fatal(err)
			}
		}
		if args := strings.Join(g.slots[2].cmd.Args, " "); !strings.HasSuffix(args, " "+want) {
			t.Errorf("%s: %s", instances, args)
		}
	}
}
