package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// replayRig is a rig for the tools of dead letters.
type replayRig struct{ *rig }

func newReplayRig(t *testing.T, partitions int) *replayRig {
	t.Helper()
	return &replayRig{newRig(t, partitions, cmssim.Config{})}
}

// start runs a command of the program that works on the rig's topics.
func (r *replayRig) start(env []string, args ...string) *instance {
	r.t.Helper()
	return launchIn(r.t, env, append(args, "--kafka.brokers="+r.broker.Brokers()[0], "--topics.requests="+r.requests,
		"--topics.results="+r.results, "--topics.deadletters="+r.deadletters, "--topics.replays="+r.replays)...)
}

// tool runs a command to its end and returns what it wrote.
func (r *replayRig) tool(code int, args ...string) string {
	r.t.Helper()
	in := r.start(nil, args...)
	got, out := in.wait(waitTimeout).ExitCode(), in.output.String()
	if got != code {
		r.t.Errorf("%v: exit code %d, want %d:\n%s", args, got, code, out)
	}
	return out
}

func (r *replayRig) want(out string, texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		if !regexp.MustCompile(text).MatchString(out) {
			r.t.Errorf("want %q in:\n%s", text, out)
		}
	}
}

// The whole story: the CMS refuses one contract's requests; an operator looks, tries too early, tries again when it is
// fixed.
func TestReplayStory(t *testing.T) {
	kafkatest.OnlyOnce(t, "what replay records; TestReplayKilledTwice is like it for the broker")
	t.Parallel()
	r := newReplayRig(t, 2)
	r.sim.AddFault(cmssim.Fault{Match: cmssim.Match{Contracts: []int64{8001}}, Effect: cmssim.EffectStatus,
		Status: http.StatusBadRequest, Source: "MASTERCARD PROCESSING", ReasonCode: "REQUEST_VALIDATION",
		Description: "Invalid value."})
	const refused = 25
	var msgs []kafka.Message
	for i := range refused {
		msgs = append(msgs, kafka.Message{Key: []byte("8001"), Headers: []kafka.Header{header("trace", "t"+strconv.Itoa(i)),
			header("kafka_correlationId", "\x00\xff"+strconv.Itoa(i))},
			Value: fmt.Appendf(nil, `{"contractId":"8001","balanceCodes":["AVAILABLE"],"requestId":"r%d"}`, i)})
	}
	msgs = append(msgs, asks(20, 5, 9000)...)
	r.Send(msgs...)
	r.Send(kafka.Message{Key: []byte("8001"), Value: []byte("{broken")})
	in := r.StartReady("--cms.breaker.min-calls=1000000")
	r.AwaitCommitted()

	r.want(r.tool(0, "deadletters", "list"), `request-rejected +25 `, `invalid-request +1 `, `total +26 `)
	service := "--service=" + in.http
	dry := r.tool(0, "deadletters", "replay", "--contract=8001", "--reason=request-rejected", service)
	r.want(dry, `request-rejected +25 `, "nothing was replayed yet; the same command with --execute does it")
	if n := r.written(r.replays); n != 0 {
		t.Errorf("a dry run has written %d records", n)
	}
	early := r.tool(1, "deadletters", "replay", "--reason=request-rejected", "--execute", service)
	r.want(early, `canary: .* is a dead letter again: request-rejected`, `1 of 25 were replayed by this run`)

	r.sim.ClearFaults()
	out := r.tool(0, "deadletters", "replay", "--reason=request-rejected", "--execute", service)
	r.want(out, `left out: 1 replayed already`, `replayed 25 dead letters in `)
	run := regexp.MustCompile(`--run (\S+)`).FindStringSubmatch(out)
	if run == nil {
		t.Fatalf("no run in %s", out)
	}
	r.AwaitCommitted() // the replay waits for its canary only
	in.Stop()

	answered := map[string]int{}
	for _, m := range r.broker.ReadAll(t, r.results) {
		result, err := schemas.DecodeResult(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		answered[result.RequestID]++
		comes := headersOf(m)["kafka_correlationId"]
		if i, of := strings.CutPrefix(result.RequestID, "r"); of && comes != "\x00\xff"+i || !of && comes != "" {
			t.Errorf("the result of %s has the correlation id %q", result.RequestID, comes)
		}
	}
	for i := range refused {
		if id := "r" + strconv.Itoa(i); answered[id] != 1 {
			t.Errorf("request %s has %d results", id, answered[id])
		}
	}
	r.wantReplayed(msgs[:refused], 26)
	r.want(r.tool(0, "deadletters", "history"), `REPLAYED`, regexp.QuoteMeta(run[1]), `--reason request-rejected`)
	r.want(r.tool(0, "deadletters", "list", "--not-replayed"), `invalid-request +1 `, `total +1 `)
}

// wantReplayed checks that what stands behind the original requests on the topic are n copies of them, byte for byte.
func (r *replayRig) wantReplayed(originals []kafka.Message, n int) {
	r.t.Helper()
	values := map[string]kafka.Message{}
	for _, m := range originals {
		values[string(m.Value)] = m
	}
	for _, m := range r.broker.Read(r.t, r.requests, len(r.sent)+n) {
		h := headersOf(m)
		if h["balanceq-replay-count"] == "" {
			continue
		}
		n--
		original, known := values[string(m.Value)]
		if !known || string(m.Key) != string(original.Key) || len(m.Headers) != len(original.Headers)+4 ||
			m.Partition != original.Partition {
			r.t.Errorf("replayed %d/%d %q=%q with headers %v", m.Partition, m.Offset, m.Key, m.Value, h)
		}
	}
	if n != 0 {
		r.t.Errorf("%d fewer were replayed than expected", n)
	}
}

// dead writes n dead letters of requests that never were.
func (r *replayRig) dead(n, partitions int) {
	r.t.Helper()
	for p := range partitions {
		msgs := make([]kafka.Message, 0, n/partitions)
		for i := p; i < n; i += partitions {
			d := schemas.DeadLetter{
				Record: &schemas.Record{
					Position: schemas.Position{Topic: r.requests, Partition: int32(p), Offset: int64(i)},
					Key:      strconv.AppendInt(nil, int64(i), 10),
					Value:    fmt.Appendf(nil, `{"contractId":"%d","balanceCodes":["A"]}`, 1+i),
				},
				Reason: schemas.ReasonContractNotFound, Detail: "no such contract", HTTPStatus: 404, Attempts: 1,
				DecidedAt: time.Now(),
			}
			m := d.Message(schemas.Origin{Group: "g", Instance: "i", Version: "v"})
			msg := kafka.Message{Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				msg.Headers = append(msg.Headers, kafka.Header(h))
			}
			msgs = append(msgs, msg)
		}
		r.broker.ProduceTo(r.t, r.deadletters, int32(p), msgs...)
	}
}

// wantOnce checks that n requests were replayed, each once, as a read-committed reader sees it.
func (r *replayRig) wantOnce(n int) {
	r.t.Helper()
	seen := map[string]bool{}
	// a replay may end a moment before its last transaction is visible
	for _, m := range r.broker.Read(r.t, r.requests, n) {
		if seen[string(m.Key)] {
			r.t.Fatalf("%s was replayed twice", m.Key)
		}
		seen[string(m.Key)] = true
	}
	entries := 0
	for range r.broker.Read(r.t, r.replays, n) {
		entries++
	}
	if len(seen) != n || entries != n {
		r.t.Errorf("%d replayed, %d in the ledger, want %d", len(seen), entries, n)
	}
}

var unwatched = []string{"deadletters", "replay", "--all", "--execute", "--canary=off", "--http.listen=off"}

// A replay that is killed in the middle, twice, goes on where it was and repeats nothing.
func TestReplayKilledTwice(t *testing.T) {
	t.Parallel()
	const n = 20_000
	r := newReplayRig(t, 3)
	r.dead(n, 3)
	for _, after := range []int64{n / 5, n / 2} {
		in := r.start(nil, unwatched...)
		in.eventually(fmt.Sprintf("%d are replayed", after), func() bool { return r.written(r.requests) >= after })
		in.Kill()
	}
	out := r.tool(0, unwatched...)
	r.want(out, `left out: \d+ replayed already`, `replayed \d+ dead letters`)
	r.wantOnce(n)
}

// Two operators replay the same at the same time.
func TestReplayTwoOperators(t *testing.T) {
	kafkatest.OnlyOnce(t, "what replay records; TestReplayKilledTwice is like it for the broker")
	t.Parallel()
	const n = 5000
	r := newReplayRig(t, 3)
	r.dead(n, 3)
	one, other := r.start(nil, unwatched...), r.start(nil, unwatched...)
	codes := [2]int{one.wait(waitTimeout).ExitCode(), other.wait(waitTimeout).ExitCode()}
	for i, in := range []*instance{one, other} {
		if out := in.output.String(); codes[i] != 0 {
			r.want(out, `another replay has begun and has fenced this one: \d+ of \d+ were replayed by this run`)
		}
	}
	if codes[0] != 0 && codes[1] != 0 {
		t.Errorf("exit codes %v: neither went on", codes)
	}
	r.wantOnce(n)
}

// While the breaker is open the replay waits, and goes on afterwards.
func TestReplayPausesWithTheBreaker(t *testing.T) {
	kafkatest.OnlyOnce(t, "the circuit breaker")
	t.Parallel()
	r := newReplayRig(t, 2)
	r.dead(50, 2)
	in := r.StartReady("--cms.breaker.open-time=1s", "--cms.breaker.max-open-time=1s")
	outage := r.sim.AddFault(cmssim.Fault{Effect: cmssim.EffectStatus, Status: http.StatusServiceUnavailable})
	r.Send(asks(50, 50, 100)...)
	in.eventually("the breaker is open", func() bool { h, _ := in.Health(); return h.Breaker == "open" })
	replay := r.start(nil, "deadletters", "replay", "--all", "--execute", "--canary=off", "--service="+in.http,
		"--rate=25")
	replay.eventually("the replay is paused", func() bool {
		return strings.Contains(replay.output.String(),
			"its circuit breaker is open")
	})
	r.sim.RemoveFault(outage)
	if code := replay.wait(waitTimeout).ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	r.want(replay.output.String(), "going on", "replayed 50 dead letters")
	r.AwaitCommitted()
	in.Stop()
}

// One request is fixed by hand and replayed.
func TestReplayEdited(t *testing.T) {
	kafkatest.OnlyOnce(t, "what replay records; TestReplayKilledTwice is like it for the broker")
	t.Parallel()
	r := newReplayRig(t, 1)
	r.Send(kafka.Message{Key: []byte("k"),
		Value: []byte(`{"contractId":"7000l","balanceCodes":["AVAILABLE"],"requestId":"typo","note":"kept"}`)})
	in := r.StartReady()
	r.AwaitCommitted()
	edit := func(code int, script string) string {
		editor := filepath.Join(t.TempDir(), "editor")
		if err := os.WriteFile(editor, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		tool := r.start([]string{"EDITOR=" + editor, "VISUAL="}, "deadletters", "replay", "--partition=0", "--offset=0",
			"--edit", "--execute", "--service="+in.http)
		if got := tool.wait(waitTimeout).ExitCode(); got != code {
			t.Errorf("%s: exit code %d, want %d", script, got, code)
		}
		return tool.output.String()
	}
	r.want(edit(1, "true"), "nothing was changed, so nothing was replayed")
	r.want(edit(1, "exit 3"), "exit status 3")
	r.want(edit(1, `sed -i s/7000l/70OO1/ "$1"`), "not a valid request: contractId: ", "nothing was changed")
	if n := r.written(r.replays); n != 0 {
		t.Fatalf("%d were replayed", n)
	}
	r.want(edit(0, `sed -i s/7000l/70001/ "$1"`), "contractId: .none. → 70001", "replayed 1 dead letter in")
	r.AwaitWritten(r.results, 1)
	result, err := schemas.DecodeResult(r.broker.Read(t, r.results, 1)[0].Value)
	if err != nil || result.ContractID != 70001 || result.RequestID != "typo" {
		t.Errorf("%+v, error %v", result, err)
	}
	requests := r.broker.ReadAll(t, r.requests)
	if got := string(
		requests[len(
			requests)-1].Value); got != `{"contractId":"70001","balanceCodes":["AVAILABLE"],"requestId":"typo","note":"kept"}` {
		t.Errorf("replayed %s", got)
	}
	r.want(r.tool(0, "deadletters", "history", "--records"), "contractId.*→ 70001")
	in.Stop()
}

// What a script gets: one object, whatever happens.
func TestReplayJSON(t *testing.T) {
	kafkatest.OnlyOnce(t, "what replay records; TestReplayKilledTwice is like it for the broker")
	t.Parallel()
	r := newReplayRig(t, 1)
	r.dead(5, 1)
	r.broker.Produce(t, r.deadletters, kafka.Message{Value: []byte("a stranger")})
	in := r.start(nil, "deadletters", "replay", "--limit=3", "--execute", "--canary=off", "--http.listen=off",
		"--output=json")
	in.wait(waitTimeout)
	var got struct {
		Replay, Replayed int
		Run              string
		ByReason         map[string]int
		Executed         bool
	}
	for line := range strings.Lines(in.output.String()) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got.Replay != 3 || got.Replayed != 3 || !got.Executed || got.Run == "" || got.ByReason["contract-not-found"] != 3 {
		t.Errorf("%+v in %s", got, in.output.String())
	}
	r.want(r.tool(0, "deadletters", "replay", "--output=json"), `"replay":2`,
		`"leftOut":{"no dead letter":1,"replayed already":3}`, `"executed":false`)
}
