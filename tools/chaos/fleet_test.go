package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// newFleet makes a fleet of shell scripts.
func newFleet(t *testing.T, script string) *fleet {
	t.Helper()
	f := &fleet{dir: t.TempDir(), binary: filepath.Join(t.TempDir(), "worker")}
	if err := os.WriteFile(f.binary, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	if err := f.start(0); err != nil {
		t.Fatal(err)
	}
	return f
}

const begun = `echo '{"message":"starting"}'; echo '{"message":"joined the consumer group"}'; `

// awaitLog waits until a worker has written something.
func awaitLog(t *testing.T, w *worker) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().
		Before(deadline); wait.Sleep(t.Context(), 5*time.Millisecond) {
		if text, err := os.ReadFile(w.log); err == nil && strings.Contains(string(text), "joined") {
			return
		}
	}
	t.Fatal("the worker writes nothing")
}

func TestFleetKills(t *testing.T) {
	f := newFleet(t, begun+"trap '' TERM; while :; do sleep 0.01; done")
	awaitLog(t, f.at(0))
	f.kill(0)
	f.kill(0) // it is dead already, which is no defect
	var h history
	if err := f.addLogs(&h); err != nil || len(h.broken) != 1 || len(h.incidents) != 0 {
		t.Errorf("%+v %v", h, err)
	}
	if _, known := h.open["w1-1"]; !known {
		t.Errorf("w1-1 is unknown: %v", h.open)
	}
}

func TestFleetEndsWhoDoesNotListen(t *testing.T) {
	f := newFleet(t, begun+"trap '' TERM; while :; do sleep 0.01; done")
	awaitLog(t, f.at(0))
	if !f.at(0).end(10 * time.Millisecond) {
		t.Error("it ended by SIGTERM, which it ignores")
	}
}

func TestFleetStops(t *testing.T) {
	f := newFleet(t, begun+"trap 'exit 0' TERM; while :; do sleep 0.01; done")
	awaitLog(t, f.at(0))
	f.stop(0)
	var h history
	if err := f.addLogs(&h); err != nil || len(h.broken) != 0 || len(h.incidents) != 0 {
		t.Errorf("%+v %v", h, err)
	}
}

// A worker that ends while at work has a defect, also if it is then told to; one that finds no Kafka is started again.
// A slot that somebody has taken is left alone.
func TestFleetHeals(t *testing.T) {
	for script, incidents := range map[string]int{begun + "exit 1": 1, "exit 1": 0, "echo 'panic: x'; exit 2": 1} {
		f := newFleet(t, script)
		<-f.at(0).exited
		if err := f.heal(); err != nil || len(f.all) != 2 {
			t.Errorf("%s: %d workers, %v", script, len(f.all), err)
		}
		<-f.at(0).exited
		f.kill(0)
		if err := f.heal(); err != nil || len(f.all) != 2 {
			t.Errorf("%s: %d workers, %v; the second was killed", script, len(f.all), err)
		}
		var h history
		if err := f.addLogs(&h); err != nil || len(h.incidents) != 2*incidents {
			t.Errorf("%s: %v %v", script, h.incidents, err)
		}
	}
}

// A static member has the same names after a restart, and what it says of its breaker is kept for both.
func TestFleetOfStaticMembers(t *testing.T) {
	f := &fleet{dir: t.TempDir(), binary: filepath.Join(t.TempDir(), "worker"), static: []bool{false, true},
		args: []string{"--x"}}
	script := "#!/bin/sh\necho '{\"to\":\"open\",\"time\":\"2026-01-01T00:00:00Z\"}'; echo joined \"$@\"; while :; do " +
		"sleep 0.01; done"
	if err := os.WriteFile(f.binary, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	var said []string
	for _, slot := range []int{0, 1, 1} {
		if err := f.start(slot); err != nil {
			t.Fatal(err)
		}
		awaitLog(t, f.at(slot))
		text, err := os.ReadFile(f.at(slot).log)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, strings.TrimSpace(string(text)))
		f.kill(slot)
	}
	for i, want := range []string{"--instance=w1-1 --x", "--instance=w2 --x --kafka.instance-id=w2",
		"--instance=w2 --x --kafka.instance-id=w2"} {
		if !strings.HasSuffix(said[i], want) {
			t.Errorf("worker %d: %q, want %q", i, said[i], want)
		}
	}
	var h history
	if err := f.addLogs(&h); err != nil || len(h.open["w2"]) != 2 || len(h.open["w1-1"]) != 1 {
		t.Errorf("%+v %v", h.open, err)
	}
}
