package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/otlptest"
	"github.com/balanceq/balanceq/schemas"
)

// What acts on terminals: colours, the title, the cursor, CSI as one character, a clipboard, other directions.
const acting = "\x1b[31m\x1b]0;owned\x07\u009b2J\x1b]52;c;AAAA\x07\u202e\u2066\r\n"

// Card numbers as publishers send them by mistake, or on purpose.
var cards = []string{"4111111111111111", "5555-5555-5555-4444", "3782 822463 10005", "6304000000000000000"}

// poison are requests of a publisher that has turned hostile and knows the program: each reaches it, by name.
func poison(requests string) map[string]kafka.Message {
	all := map[string]kafka.Message{}
	with := func(name string, headers ...kafka.Header) { // to an ordinary request
		m := ask(95_000, "AVAILABLE")
		m.Headers = headers
		all[name] = m
	}
	value := func(name, text string) { all[name] = kafka.Message{Key: []byte("95000"), Value: []byte(text)} }
	request := func(name, members string) {
		value(name, `{"contractId":"95000","balanceCodes":["AVAILABLE"]`+members+`}`)
	}
	for i, card := range cards {
		request("card as request id "+card, `,"requestId":"`+card+`"`)
		value("card as code "+card, `{"contractId":"95000","balanceCodes":["`+card+`"]}`)
		value("card as contract "+card, `{"contractId":"`+card+`","balanceCodes":["A"]}`)
		value("card in what is no request "+card, card)
		request("card as deadline "+card, `,"deadline":"`+card+`"`)
		with("card in headers "+card, header("x-card", card), header(card, "x"), header("ce_id", card),
			header("ce_specversion", "1.0"), header("baggage", "card="+card))
		m := ask(95_001+int64(i), "AVAILABLE")
		m.Key = []byte(card)
		all["card as key "+card] = m
	}
	for i, id := range []string{"../../admin", "1/../../x", "1%2f..%2f", "1?x=1#", "1;x", "1\\r\\nX-Evil: 1", "１", "٣",
		"+1", "1e3"} {
		value(fmt.Sprint("contract ", i), `{"contractId":"`+id+`","balanceCodes":["A"]}`)
	}
	for i, code := range []string{"../../x", "A&balance_codes=B", "A%2CB", "A#B", "A?B", "A B", `\u202eA`, "=1+1", `\"`} {
		value(fmt.Sprint("code ", i), `{"contractId":"95000","balanceCodes":["`+code+`"]}`)
	}
	for i, id := range []string{`\u202e\u2066`, `=cmd|' /C calc'!A0`, `\u2028`, `<script>alert(1)</script>`, "${jndi:ldap://x}",
		"%s%n%x", "../../etc/passwd"} {
		request(fmt.Sprint("request id ", i), `,"requestId":"`+id+`"`)
	}
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for i, text := range []string{parent, parent + "\r\nX-Evil: 1", "cc" + parent[2:] + "-\r\nX-Evil: 1",
		"cc" + parent[2:] + "-" + strings.Repeat("a", 1<<10), strings.ToUpper(parent),
		"00-" + strings.Repeat("1", 32) + parent[35:], strings.Repeat("0", 1<<20-4096)} {
		with(fmt.Sprint("traceparent ", i), header("traceparent", text), header("tracestate", "a=b\r\nX-Evil: 1"),
			header("baggage", strings.Repeat("k=v,", 1<<10)))
	}
	with("headers of HTTP", header("Host", "evil.example"), header("Authorization", "Bearer x"), header("X-Evil", "1"),
		header("Correlation-Id", "evil\r\nX-Evil: 1"), header("correlationId", acting),
		header("kafka_correlationId", "\x00\xff"), header("kafka_replyTopic", "__consumer_offsets"),
		header("Content-Length", "0"), header("Transfer-Encoding", "chunked"))
	var many []kafka.Header
	for i := range 4000 {
		many = append(many, header(fmt.Sprint("h", i), "v"))
	}
	with("thousands of headers", many...)
	with("more headers than are read", append(many, many...)...)
	with("odd names of headers", header("", ""), header("a:b", "c"), header(acting, acting), header("\x00", "\x00"),
		header(strings.Repeat("n", 60_000), "v"))
	with("content type", header("content-type", strings.Repeat("application/cloudevents;", 10_000)))
	with("a batch of events", header("content-type", "APPLICATION/CloudEvents-batch+json"))
	with("an event", header("ce_specversion", acting), header("ce_id", acting), header("ce_type", acting))
	forged := []kafka.Header{header("__dlq.errors.topic", acting), header("__dlq.errors.partition", "0"),
		header("__dlq.errors.offset", "9223372036854775807"), header("__dlq.errors.message", acting+cards[0]),
		header("balanceq-reason", "internal-error"), header("balanceq-detail", acting+cards[0]),
		header("balanceq-omitted", "value"), header("balanceq-original-key", "null"), header("balanceq-version", acting),
		header("balanceq-replay-of", acting), header("balanceq-replay-run", acting),
		header("balanceq-replay-source", requests+"/0/0"), header("balanceq-replay-count", "2147483647")}
	with("looks like a dead letter", forged...)
	all["becomes a dead letter, and looked like one"] = kafka.Message{Value: []byte(acting + cards[0]), Headers: forged}
	all["key that acts"] = kafka.Message{Key: []byte(acting), Value: []byte(acting)}
	all["from 1970"] = kafka.Message{Value: []byte("{}"), Time: time.UnixMilli(1)}
	return all
}

// watchedCMS notes what calls look like, on the way to the simulator.
type watchedCMS struct {
	cms http.Handler

	mu    sync.Mutex
	calls []string // what is odd about them
	seen  int
}

var (
	callPath  = regexp.MustCompile(`^/global-processing/core/contracts/[1-9][0-9]{0,17}/balances\?balance_codes=[A-Za-z0-9%._~-]+$`)
	callTrace = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
	callUUID  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

func (w *watchedCMS) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var odd []string
	if !callPath.MatchString(r.RequestURI) || r.Method != http.MethodGet || r.ContentLength != 0 {
		odd = append(odd, r.Method+" "+r.RequestURI)
	}
	for name, values := range r.Header {
		switch value := strings.Join(values, ", "); name {
		case "Accept", "Accept-Encoding", "Content-Type", "User-Agent":
		case "Correlation-Id":
			if !callUUID.MatchString(value) {
				odd = append(odd, name+": "+value)
			}
		case "Traceparent":
			if !callTrace.MatchString(value) {
				odd = append(odd, name+": "+value)
			}
		default:
			odd = append(odd, name+": "+value)
		}
	}
	w.mu.Lock()
	w.seen++
	w.calls = append(w.calls, odd...)
	w.mu.Unlock()
	w.cms.ServeHTTP(rw, r)
}

// hostileRig is a rig whose publisher is hostile, with a receiver of traces.
type hostileRig struct {
	*replayRig
	cms      *watchedCMS
	receiver *otlptest.Receiver
	in       *instance
}

func newHostileRig(t *testing.T, flags ...string) *hostileRig {
	t.Helper()
	r := &hostileRig{replayRig: newReplayRig(t, 1), receiver: otlptest.Start(t)}
	r.cms = &watchedCMS{cms: r.sim}
	server := httptest.NewServer(r.cms)
	t.Cleanup(server.Close)
	r.cmsURL = server.URL + cmssim.BasePath
	flags = append(append(r.flags(), "--telemetry.otlp.endpoint="+r.receiver.URL), flags...)
	r.in = launchIn(t, append([]string{"OTEL_TRACES_SAMPLER=always_on"}, soon...), flags...).await()
	r.in.eventually("the instance is ready", r.in.Ready)
	return r
}

// wantInert fails the test where a text holds what acts on a terminal, or a card number in plain sight.
func wantInert(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%s acts on a terminal: %q", what, line[max(0, i-40):min(len(line), i+40)])
		}
	}
	for _, card := range cards {
		if i := strings.Index(text, card); i >= 0 {
			t.Errorf("%s shows a card number: %q", what, text[max(0, i-80):min(len(text), i+80)])
		}
	}
}

// series are the metrics' names and labels, without those that a busy machine may add: a write to a topic that is tried
// again, a breaker that opens.
func (in *instance) series() int {
	in.t.Helper()
	n := 0
	for sample := range in.Metrics() {
		if strings.HasPrefix(sample, "balanceq_") && !strings.HasPrefix(sample, "balanceq_write_retries_total{") &&
			!strings.HasPrefix(sample, "balanceq_breaker_transitions_total{") {
			n++
		}
	}
	return n
}

// Whatever a publisher sends: each request has one outcome, the good ones between are answered, calls to the CMS are
// nothing but calls, and nothing of it is in the names of metrics, acts on a terminal or shows a card number, in the
// log, in the HTTP answers, in traces and in what the commands print.
func TestHostilePublisher(t *testing.T) {
	t.Parallel()
	r := newHostileRig(t, "--log.level=trace")
	r.Send(ask(94_000, "AVAILABLE"), kafka.Message{Value: []byte("{}")})
	r.AwaitCommitted()
	before := r.in.series()
	names := map[int64]string{}
	for name, m := range poison(r.requests) {
		names[r.Send(m)[0].Offset] = name
		r.Send(asks(3, 3, 94_000)...)
	}
	r.AwaitCommitted()
	outcomes := r.outcomes()
	for _, m := range r.sent {
		if n := outcomes[m.Offset]; n != 1 {
			t.Errorf("request %d (%s) has %d outcomes", m.Offset, names[m.Offset], n)
		}
	}
	r.cms.mu.Lock()
	for _, odd := range r.cms.calls {
		t.Errorf("a call to the CMS has %q", odd)
	}
	t.Logf("%d records, %d calls", len(r.sent), r.cms.seen)
	r.cms.mu.Unlock()
	if after := r.in.series(); after != before {
		t.Errorf("%d series of metrics, %d before", after, before)
	}
	for _, path := range []string{"/", "/readyz", "/livez", "/status", "/metrics"} {
		_, body := r.in.get(path)
		wantInert(t, path, string(body))
	}
	if peak := r.in.peakMemory(); peak > 256<<20 {
		t.Errorf("%d MiB were resident", peak>>20)
	}
	r.commands(names)
	r.in.Stop()
	wantInert(t, "the log", r.in.output.String())
	for _, span := range r.receiver.Spans() {
		wantInert(t, "a span", fmt.Sprint(span))
	}
}

// commands runs all that show records, and looks at what they print for people.
func (r *hostileRig) commands(sent map[int64]string) {
	r.t.Helper()
	for _, args := range []string{
		"results --from-beginning --exit --deadletters", "deadletters list", "deadletters list --records",
		"deadletters list --by contract", "deadletters list --by cms-reason", "deadletters history",
		"deadletters history --records", "deadletters replay --all", "status --service=http://" + r.in.http,
	} {
		command := strings.Fields(args)
		in := r.start(nil, append(command, "--kafka.group="+r.group)...)
		in.wait(waitTimeout)
		wantInert(r.t, args, in.output.String())
	}
	for _, m := range r.broker.ReadAll(r.t, r.deadletters) {
		switch source := schemas.ReadDeadLetter(recordOf(m)).Source.Offset; sent[source] {
		case "becomes a dead letter, and looked like one", "key that acts", "more headers than are read", "from 1970",
			"card in what is no request " + cards[1], "card as code " + cards[2]:
			at := fmt.Sprintf("%d/%d", m.Partition, m.Offset)
			in := r.start(nil, "deadletters", "show", at)
			in.wait(waitTimeout)
			wantInert(r.t, "deadletters show "+at, in.output.String())
		}
	}
}

// outcomes counts those of each request, by its offset.
func (r *hostileRig) outcomes() map[int64]int {
	r.t.Helper()
	outcomes := map[int64]int{}
	for _, m := range r.broker.ReadAll(r.t, r.results) {
		result, err := schemas.DecodeResult(m.Value)
		if err != nil {
			r.t.Errorf("%v in %s", err, m.Value)
		}
		outcomes[result.Source.Offset]++
	}
	for _, m := range r.broker.ReadAll(r.t, r.deadletters) {
		info := schemas.ReadDeadLetter(recordOf(m))
		if info.Source.Topic != r.requests {
			r.t.Errorf("a dead letter of %v", info.Source)
		}
		outcomes[info.Source.Offset]++
	}
	return outcomes
}
