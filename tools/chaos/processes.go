package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// process is a child of this process. It ends with its parent, however that ends.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	ended  time.Time     // valid from then on
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C is for us: we end it in our own way
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "BALANCEQ_") { // those would be configuration
			cmd.Env = append(cmd.Env, v)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // what came of it is in ProcessState
		p.ended = time.Now()
		close(p.exited)
	}()
	return p, nil
}

// signal does nothing where the process has ended.
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// end asks the process to stop, kills it where it has not within that time, and waits for it.
func (p *process) end(within time.Duration) (killed bool) {
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGCONT)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		killed = true
		p.signal(syscall.SIGKILL)
		<-p.exited
	}
	return killed
}

// simulator is cms-sim in a process of its own.
type simulator struct {
	process *process
	url     string // cms.url
	control string // of its faults and its latency
}

var announced = regexp.MustCompile(`set cms\.url to ((https?://[^/\s]+)\S*)`)

const usualLatency = `{"latency":"20ms","jitter":"10ms"}`

func startSimulator(binary string) (*simulator, error) {
	cmd := exec.CommandContext(context.Background(), binary, "--listen=127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting the simulator: %w; make build builds it", err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	found := announced.FindStringSubmatch(line)
	if found == nil {
		p.end(time.Second)
		return nil, errors.Join(fmt.Errorf("the simulator says %q, and not where it listens", line), err)
	}
	return &simulator{p, found[1], found[2] + "/_sim"}, nil
}

func (s *simulator) close() { s.process.end(5 * time.Second) }

var controlClient = &http.Client{Timeout: 10 * time.Second}

// ask sends a request to the control endpoint.
func (s *simulator) ask(ctx context.Context, method, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, s.control+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := controlClient.Do(req)
	if err != nil {
		return fmt.Errorf("controlling the simulator: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("controlling the simulator: %s %s", resp.Status, bytes.TrimSpace(answer))
	}
	return err
}
