package serve

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started runs the program and returns the line it prints, and what ends it and gives its exit code.
func started(t *testing.T, args ...string) (line string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		defer func() { _ = in.Close() }()
		code <- Run(ctx, args, in, io.Discard)
	}()
	lines := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		buffer := make([]byte, 1024)
		for !bytes.Contains(b.Bytes(), []byte("\n")) {
			n, err := out.Read(buffer)
			b.Write(buffer[:n])
			if err != nil {
				break
			}
		}
		lines <- b.String()
	}()
	select {
	case line = <-lines:
	case <-time.After(10 * time.Second):
		t.Fatal("no line within 10s")
	}
	return line, func() int {
		cancel()
		return <-code
	}
}

func get(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestRun does what the line printed at the start says: the URL answers, the curl command breaks it.
func TestRun(t *testing.T) {
	line, stop := started(t, "--listen", "127.0.0.1:0", "--latency", "0", "--jitter", "0", "--record")
	pattern := regexp.MustCompile(`^cms-sim: set cms\.url to (http://\S+) and try: curl -d '(.+)' (http://\S+)\n$`)
	said := pattern.FindStringSubmatch(line)
	if said == nil {
		t.Fatalf("printed %q", line)
	}
	call := said[1] + "/contracts/70001/balances?balance_codes=AVAILABLE"
	if status, body := get(t, http.MethodGet, call, ""); status != 200 || !strings.Contains(body, "9811.31") {
		t.Errorf("the URL answers %d %s", status, body)
	}
	if status, body := get(t, http.MethodPost, said[3], said[2]); status != 201 {
		t.Errorf("the example command gets %d %s", status, body)
	}
	if status, _ := get(t, http.MethodGet, call, ""); status != 503 {
		t.Errorf("in the outage: %d", status)
	}
	if code := stop(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestExitCodes(t *testing.T) {
	line, stop := started(t, "--listen", "127.0.0.1:0")
	defer stop()
	busy := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	for name, c := range map[string]struct {
		args    []string
		code    int
		message string
	}{
		"help":             {[]string{"--help"}, exitDone, ""},
		"unknown flag":     {[]string{"--latencyy", "1s"}, exitUsage, "--latencyy"},
		"no duration":      {[]string{"--latency", "fast"}, exitUsage, "--latency"},
		"negative latency": {[]string{"--latency", "-1s"}, exitUsage, "flag --latency"},
		"negative limit":   {[]string{"--max-concurrent", "-1"}, exitUsage, "flag --max-concurrent"},
		"argument":         {[]string{"start"}, exitUsage, `"start"`},
		"busy address":     {[]string{"--listen", busy}, exitFailed, "--listen " + busy},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := Run(t.Context(), c.args, &stdout, &stderr); code != c.code ||
				!strings.Contains(stderr.String(), c.message) {
				t.Errorf("exit code %d, said %q", code, stderr.String())
			}
		})
	}
}

func TestHelpNamesTheSpecialContracts(t *testing.T) {
	var stdout bytes.Buffer
	if code := Run(t.Context(), []string{"--help"}, &stdout, io.Discard); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"70001", "404…", "204…", "999…", "OWN_AVAILABLE", "--max-concurrent", "127.0.0.1:8090"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the help text lacks %s", want)
		}
	}
	if strings.Contains(stdout.String(), "[=") {
		t.Error("the help text shows switches as what takes a value")
	}
}
