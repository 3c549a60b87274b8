package demo

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asProgram makes the test binary behave as the demo: the same code, built once, and under the race detector where the
// tests are.
const asProgram = "BALANCEQ_DEMO_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		Main()
		return
	}
	goleak.VerifyTestMain(m)
}

func program(t *testing.T, args ...string) (cmd *exec.Cmd, out *bytes.Buffer, temp string) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the whole demo, its broker included")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temp, out = t.TempDir(), new(bytes.Buffer)
	cmd = exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+temp, "TERM=xterm")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out, temp
}

// serviceLog is what the service had to say that is more than a line about a dead letter.
func serviceLog(temp string) string {
	found, _ := filepath.Glob(filepath.Join(temp, "*", logName))
	var lines []string
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, `"message":"dead letter"`) {
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(lines, "")
}

var balanceLine = regexp.MustCompile(
	`(?m)^The ledger balances: (\d+) requests, (\d+) answered once, 0 lost, 0 repeated\nIn the [1-9]\d*\.\d s that the breaker was open, 0 requests became dead letters$`)

// The whole demo, as a program whose output is no terminal.
func TestDemo(t *testing.T) {
	cmd, out, temp := program(t)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, serviceLog(temp))
	}
	text := out.String()
	m := balanceLine.FindStringSubmatch(text)
	if m == nil || m[1] != m[2] || len(m[1]) < 4 {
		t.Fatalf("no balance of thousands of requests:\n%s", text)
	}
	for _, p := range story {
		if !strings.Contains(text, fmt.Sprintf("\n%s: %s\n", p.name, p.says)) {
			t.Errorf("act %s is not announced", p.name)
		}
	}
	for _, want := range []string{"breaker open", "calls pause", "attempts-exhausted", "expired", "invalid-request",
		"contract-not-found"} {
		if !strings.Contains(text, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if strings.ContainsAny(text, "\x1b\r") {
		t.Error("escape sequences in output that is no terminal")
	}
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// Ctrl-C in the middle ends it cleanly, and does not claim anything about the ledger.
func TestInterrupt(t *testing.T) {
	cmd, out, temp := program(t, "--plain")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	defer func() { _ = reader.Close() }()
	seen := make([]byte, 0, 1<<16)
	for !bytes.Contains(seen, []byte("Look at")) { // the first act has begun
		chunk := make([]byte, 1024)
		n, err := reader.Read(chunk)
		if err != nil {
			t.Fatalf("%v after %q, %s", err, seen, out)
		}
		seen = append(seen, chunk[:n]...)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitInterrupted {
		t.Errorf("ended with %v", err)
	}
	if got := out.String(); got != "balanceq-demo: stopped before the ledger could be checked\n" {
		t.Errorf("said %q", got)
	}
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestUsage(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":         {[]string{"--help"}, exitDone, "--keep"},
		"unknown flag": {[]string{"--fast"}, exitUsage, "unknown flag: --fast"},
		"argument":     {[]string{"now"}, exitUsage, `unexpected argument "now"`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, out, _ := program(t, test.args...)
			_ = cmd.Run() // the code says it
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("exit code %d, said %q", code, out)
			}
		})
	}
}
