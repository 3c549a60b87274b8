package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// stopLimit is more than shutdown.timeout.
const stopLimit = time.Minute

// instance is a process of the program under measurement.
type instance struct {
	cmd    *exec.Cmd
	asked  atomic.Bool   // to end
	exited chan struct{} // closed when it has ended
	err    error         // how; valid from then on
}

// start runs the program under measurement. One that ends unasked ends the measurement.
func (b *bench) start(flags ...string) (*instance, error) {
	if b.peer.name != "" && b.peer.name != self {
		return b.startPeer()
	}
	args := []string{
		"run", "--kafka.brokers=" + b.brokers, "--kafka.group=" + b.group(), "--delivery=" + b.delivery,
		"--topics.requests=" + b.topic("requests"), "--topics.results=" + b.topic("results"),
		"--topics.deadletters=" + b.topic("deadletters"), "--cms.url=" + b.cms.URL(),
		"--cms.max-in-flight=" + strconv.Itoa(b.inFlight), "--cms.coalesce=" + strconv.FormatBool(b.coalesce),
		"--http.listen=off", "--http.admin=off", "--log.level=warn",
	}
	return b.exec(append(append(append([]string{b.binary}, args...), flags...), b.flags...), b.env)
}

// startPeer runs a peer instead.
func (b *bench) startPeer() (*instance, error) {
	command, err := b.peer.command(b.binary)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", b.peer.name, err)
	}
	return b.exec(command, b.environment())
}

func (b *bench) exec(command, env []string) (*instance, error) {
	p := &instance{cmd: exec.Command(command[0], command[1:]...), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	// Ctrl-C is for us: we end it in our own way.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if b.keepLogs {
		p.cmd.Stderr = os.Stderr
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the program: %w; make build builds it", err)
	}
	b.mu.Lock()
	b.running = append(b.running, p)
	b.mu.Unlock()
	go func() {
		p.err = p.cmd.Wait()
		if !p.asked.Load() {
			b.fail(fmt.Errorf("the program ended by itself (%v); --logs shows why", p.cmd.ProcessState))
		}
		close(p.exited)
	}()
	return p, nil
}

// stop ends it with SIGTERM and waits for it.
func (p *instance) stop() error {
	p.asked.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended tells below how
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-limit.C:
		p.kill()
		return fmt.Errorf("the program did not end within %v of SIGTERM", stopLimit)
	}
	if p.err != nil {
		return fmt.Errorf("the program ended badly: %w", p.err)
	}
	return nil
}

// kill ends it with SIGKILL and waits for it.
func (p *instance) kill() {
	p.asked.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}
