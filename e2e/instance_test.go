package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// waitTimeout bounds every wait: machines that run tests can be slow.
const waitTimeout = 90 * time.Second

// instance is one running program.
type instance struct {
	t      *testing.T
	cmd    *exec.Cmd
	output output
	exited chan struct{} // closed when the process has ended and all its output is here
	http   string        // address of its probes and metrics; "" until it has said so
	admin  string        // address of what acts
}

// output is what a process wrote to standard error.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch starts the program with these arguments and does not wait for anything. What it wrote is shown if the test
// fails.
func launch(t *testing.T, args ...string) *instance {
	t.Helper()
	return launchIn(t, nil, args...)
}

// launchIn is launch with variables added to the environment. Neither passes on our own ones, which would be
// configuration, nor proxies.
func launchIn(t *testing.T, env []string, args ...string) *instance {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	in := &instance{t: t, cmd: exec.Command(path, args...), exited: make(chan struct{})}
	in.cmd.Stdout, in.cmd.Stderr = &in.output, &in.output
	in.cmd.WaitDelay = 5 * time.Second
	in.cmd.SysProcAttr = diesWithUs()
	in.cmd.Env = append(in.cmd.Env, env...)
	for _, v := range os.Environ() {
		if name := strings.ToUpper(v); !strings.HasPrefix(v, "BALANCEQ_") && !strings.Contains(name, "_PROXY=") {
			in.cmd.Env = append(in.cmd.Env, v)
		}
	}
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(in.exited)
		_ = in.cmd.Wait() // what came of it is in ProcessState
	}()
	t.Cleanup(in.cleanup)
	return in
}

func (in *instance) cleanup() {
	in.signal(syscall.SIGKILL)
	<-in.exited
	text := in.output.String()
	if strings.Contains(text, "DATA RACE") || strings.Contains(text, "a panic while handling") ||
		strings.Contains(text, "goroutine 1 [") {
		in.t.Error("the program has a data race or panicked")
	}
	if in.t.Failed() {
		const last = 60_000
		in.t.Logf("the program %d wrote:\n%s", in.cmd.Process.Pid, text[max(0, len(text)-last):])
	}
}

// signal does nothing where the process has ended.
func (in *instance) signal(s os.Signal) { _ = in.cmd.Process.Signal(s) }

// wait waits until the process has ended.
func (in *instance) wait(within time.Duration) *os.ProcessState {
	in.t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-in.exited:
		return in.cmd.ProcessState
	case <-timer.C:
		in.t.Fatalf("the program did not end within %v", within)
		return nil
	}
}

// Stop asks the program to end, as an orchestrator does, and returns how long that took. It must exit 0.
func (in *instance) Stop() time.Duration {
	in.t.Helper()
	began := time.Now()
	in.signal(syscall.SIGTERM)
	if code := in.wait(waitTimeout).ExitCode(); code != 0 {
		in.t.Errorf("exit code %d after SIGTERM", code)
	}
	return time.Since(began)
}

// Kill ends the process with SIGKILL.
func (in *instance) Kill() {
	in.t.Helper()
	in.signal(syscall.SIGKILL)
	in.wait(waitTimeout)
}

// running is false when the process has ended.
func (in *instance) running() bool {
	select {
	case <-in.exited:
		return false
	default:
		return true
	}
}

// logLine is one message of the log.
type logLine map[string]any

func (l logLine) text(field string) string {
	s, _ := l[field].(string)
	return s
}

func (l logLine) time() time.Time {
	at, _ := time.Parse(time.RFC3339Nano, l.text("time"))
	return at
}

// Logs returns the messages that hold this text, oldest first.
func (in *instance) Logs(message string) []logLine {
	var lines []logLine
	for line := range strings.Lines(in.output.String()) {
		l := logLine{}
		if json.Unmarshal([]byte(line), &l) == nil && strings.Contains(l.text("message"), message) {
			lines = append(lines, l)
		}
	}
	return lines
}

// Logged is Logs once there is one: the line may come a moment after the metric or the probe that shows what it tells.
func (in *instance) Logged(message string) (lines []logLine) {
	in.t.Helper()
	kafkatest.Eventually(in.t, waitTimeout, "the log says "+message, func() bool {
		lines = in.Logs(message)
		return len(lines) > 0
	})
	return lines
}

// await waits until the program has started serving HTTP.
func (in *instance) await() *instance {
	in.t.Helper()
	in.eventually("the program has started", func() bool {
		if lines := in.Logs("starting"); len(lines) > 0 {
			in.http, in.admin = lines[0].text("http"), lines[0].text("admin")
		}
		return in.http != ""
	})
	return in
}

// eventually is kafkatest.Eventually for as long as the program runs.
func (in *instance) eventually(what string, cond func() bool) {
	in.t.Helper()
	kafkatest.Eventually(in.t, waitTimeout, what, func() bool {
		in.t.Helper()
		if cond() {
			return true
		}
		if !in.running() {
			in.t.Fatalf("the program ended with %v before %s", in.cmd.ProcessState, what)
		}
		return false
	})
}

// scraper waits as long as a monitoring system on a busy machine does.
var scraper = &http.Client{Timeout: 20 * time.Second}

// get asks for probes and metrics, and for what acts where the path is one of that. The status is 0 where there is no
// answer.
func (in *instance) get(path string) (status int, body []byte) {
	address := in.http
	if strings.HasPrefix(path, "/debug/") || path == "/resume" {
		address = in.admin
	}
	req, err := http.NewRequestWithContext(in.t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	req.Close = true // no connections are left for the check for leaks
	resp, err := scraper.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, body
}

// health is what /readyz says.
type health struct {
	Ready         bool
	Waiting       string
	Halted        string
	Breaker       string
	WritesFailing string
	Partitions    int
	InFlight      int
	Lag           int64
}

// Health asks /readyz and /livez, which is always to be 200.
func (in *instance) Health() (h health, status int) {
	in.t.Helper()
	status, body := in.get("/readyz")
	if status != 0 {
		if err := json.Unmarshal(body, &h); err != nil {
			in.t.Errorf("/readyz: %v in %q", err, body)
		}
	}
	if live, _ := in.get("/livez"); live != http.StatusOK && in.running() && status != 0 {
		in.t.Errorf("/livez: %d", live)
	}
	return h, status
}

// Ready says whether /readyz is 200.
func (in *instance) Ready() bool {
	in.t.Helper()
	_, status := in.Health()
	return status == http.StatusOK
}

// metrics are samples by name and labels, as they are exposed: `balanceq_commits_total{result="ok"}`.
type metrics map[string]float64

// Metrics scrapes /metrics.
func (in *instance) Metrics() metrics {
	in.t.Helper()
	status, body := in.get("/metrics")
	if status != http.StatusOK {
		in.t.Errorf("/metrics: %d", status)
	}
	m := metrics{}
	for scanner := bufio.NewScanner(bytes.NewReader(body)); scanner.Scan(); {
		line := scanner.Text()
		space := strings.LastIndexByte(line, ' ')
		if space < 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(line[space+1:], 64); err == nil {
			m[line[:space]] = v
		}
	}
	return m
}

// sum adds up the samples of a metric whose labels hold all of these, e.g. `outcome="dead-letter"`.
func (m metrics) sum(name string, labels ...string) (sum float64) {
	for sample, v := range m {
		of, rest, _ := strings.Cut(sample, "{")
		if of == name && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			sum += v
		}
	}
	return sum
}
