package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// Requests of the largest size, in topics made by `topics create`.
func TestLargestRequests(t *testing.T) {
	kafkatest.OnlyOnce(t, "the sizes of requests and outcomes")
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	r.requests, r.results, r.deadletters = r.requests+"-made", r.results+"-made", r.deadletters+"-made"
	for range 2 { // what exists is left as it is
		out, code := r.run("topics", "create", "--partitions=2")
		if code != 0 {
			t.Fatalf("topics create: exit code %d: %s", code, out)
		}
	}
	if out, code := r.run("topics", "check"); code != 0 || !strings.Contains(out, "good") {
		t.Errorf("topics check: exit code %d: %s", code, out)
	}
	sized := func(size int) []byte {
		text := []byte(`{"contractId":"70001","balanceCodes":["AVAILABLE"],"padding":"`)
		text = append(text, bytes.Repeat([]byte{'x'}, size-len(text)-2)...)
		return append(text, `"}`...)
	}
	valid := r.Send(kafka.Message{Key: []byte("a"), Value: sized(schemas.MaxRequestSize)})[0]
	tooLong := r.Send(kafka.Message{Key: []byte("b"), Value: sized(schemas.MaxRequestSize + 1)})[0]
	garbage := r.Send(kafka.Message{Key: bytes.Repeat([]byte{'k'}, 30_000),
		Value:   bytes.Repeat([]byte{0xfe, '\n'}, schemas.MaxRequestSize/2),
		Headers: []kafka.Header{{Key: "big", Value: bytes.Repeat([]byte{7}, 30_000)}}})[0]
	r.Send(asks(100, 20, 17_000)...)
	for range 20 {
		r.Send(kafka.Message{Value: sized(schemas.MaxRequestSize)}, kafka.Message{Value: sized(schemas.MaxRequestSize + 1)})
	}
	in := r.StartReady()
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.Result(valid)
	for _, m := range []kafka.Message{tooLong, garbage} {
		if d := l.Dead(m); d.Reason != schemas.ReasonInvalidRequest || !strings.HasPrefix(d.Detail, "value:") {
			t.Errorf("%d bytes: %s: %s", len(m.Value), d.Reason, d.Detail)
		}
	}
	in.Stop()
}

// run runs another command of the program with this rig's topics.
func (r *rig) run(args ...string) (output string, code int) {
	r.t.Helper()
	path, err := program()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), path,
		append(args, "--kafka.brokers="+r.broker.Brokers()[0], "--topics.requests="+r.requests,
			"--topics.results="+r.results, "--topics.deadletters="+r.deadletters)...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return fmt.Sprint(err), -1
	}
	return string(out), cmd.ProcessState.ExitCode()
}
