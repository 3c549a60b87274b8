package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/balanceq/balanceq/internal/wait"
)

// fleet are the workers.
type fleet struct {
	binary string
	args   []string
	dir    string // of their logs
	static []bool // by slot: the group knows who is in it by an id that stays
	named  bool   // the name stays too where the id does not, as exactly-once asks for

	mu    sync.Mutex
	slots []*worker // the one in each slot now
	all   []*worker
}

// worker is one process of balanceq, from its start to its end.
type worker struct {
	*process
	name   string // its --instance
	log    string
	asked  bool // it was told to end; guarded by fleet.mu
	quit   bool // it had ended before; likewise
	killed bool // with SIGKILL; likewise
}

// stopBudget is more than shutdown.timeout.
const stopBudget = 25 * time.Second

// start puts a new worker into a slot.
func (f *fleet) start(slot int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.startLocked(slot)
}

// startLocked requires mu.
func (f *fleet) startLocked(slot int) error {
	for len(f.slots) <= slot {
		f.slots = append(f.slots, nil)
	}
	run := fmt.Sprintf("w%d-%d", slot+1, len(f.all)+1)
	w := &worker{name: run, log: filepath.Join(f.dir, run+".log")}
	args := f.args
	if f.named {
		w.name = fmt.Sprintf("w%d", slot+1)
	}
	if slot < len(f.static) && f.static[slot] {
		w.name = fmt.Sprintf("w%d", slot+1)
		args = append(slices.Clip(args), "--kafka.instance-id="+w.name)
	}
	out, err := os.Create(w.log)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // the child has it
	cmd := exec.CommandContext(context.Background(), f.binary, append([]string{"run", "--instance=" + w.name}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	if w.process, err = startProcess(cmd); err != nil {
		return fmt.Errorf("starting a worker: %w; make build builds it", err)
	}
	f.slots[slot], f.all = w, append(f.all, w)
	return nil
}

// at returns the worker in a slot.
func (f *fleet) at(slot int) *worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slots[slot]
}

// take returns the worker in a slot, which is told to end. From then on the caller owns the slot.
func (f *fleet) take(slot int, killed bool) *worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.slots[slot]
	w.ask(killed)
	return w
}

// ask notes that a worker is told to end. It requires fleet.mu.
func (w *worker) ask(killed bool) {
	select {
	case <-w.exited:
		w.quit = w.quit || !w.asked
	default:
		w.killed = killed
	}
	w.asked = true
}

// kill ends the worker in a slot with SIGKILL.
func (f *fleet) kill(slot int) {
	w := f.take(slot, true)
	w.signal(syscall.SIGKILL)
	<-w.exited
}

// stop ends the worker in a slot with SIGTERM.
func (f *fleet) stop(slot int) { f.end(f.take(slot, false)) }

func (f *fleet) end(w *worker) {
	killed := w.end(stopBudget)
	f.mu.Lock()
	defer f.mu.Unlock()
	w.killed = w.killed || killed
}

// heal starts again what has ended by itself: before a worker has begun, it waits 30 s for Kafka and no longer
// (docs/operating.md, Deploying), and a broker may take longer than that to come back.
func (f *fleet) heal() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for slot, w := range f.slots {
		select {
		case <-w.exited:
			if w.asked {
				continue // who asked it starts it again, or does not want it any more
			}
			if err := f.startLocked(slot); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// keepHealed heals until ctx ends.
func (f *fleet) keepHealed(ctx context.Context) error {
	for wait.Sleep(ctx, time.Second) {
		if err := f.heal(); err != nil {
			return err
		}
	}
	return nil
}

// close stops all that are left, side by side.
func (f *fleet) close() {
	var stopping sync.WaitGroup
	f.mu.Lock()
	for _, w := range f.all {
		select {
		case <-w.exited:
		default:
			w.ask(false)
			stopping.Go(func() { f.end(w) })
		}
	}
	f.mu.Unlock()
	stopping.Wait()
}

// addLogs adds to a history what the workers' logs say, after all of them have ended.
func (f *fleet) addLogs(h *history) error {
	h.open = map[string][]period{}
	for _, w := range f.all {
		log, err := os.ReadFile(w.log)
		if err != nil {
			return err
		}
		j, err := readJournal(bytes.NewReader(log), w.ended, w.killed)
		if err != nil {
			h.incidents = append(h.incidents, w.name+": "+err.Error())
		}
		if (w.quit || !w.asked) && j.begun {
			lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
			h.incidents = append(h.incidents, fmt.Sprintf("%s ended by itself: %v; its last words: %s",
				w.name, w.cmd.ProcessState, lines[len(lines)-1]))
		}
		h.open[w.name] = append(h.open[w.name], j.open...)
		h.broken = append(h.broken, j.broken...)
	}
	return nil
}
