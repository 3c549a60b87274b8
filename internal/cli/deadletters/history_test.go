package deadletters

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/deadletter/ledger"
	"github.com/balanceq/balanceq/deadletter/replay"
	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// ledgerShell calls the program with a topic of replays of its own.
type ledgerShell struct {
	*clitest.Shell
	replays string // topic
}

func (l *ledgerShell) Run(code int, args ...string) *clitest.Call {
	l.Helper()
	return l.Shell.Run(code, append(args, "--topics.replays", l.replays)...)
}

func (l *ledgerShell) client(topics ...string) *kafkawire.Client {
	c := kafkawire.NewClient(kafkawire.Settings{Brokers: l.Broker.Brokers(), ClientID: "history-test"}, topics...)
	l.Cleanup(c.Close)
	return c
}

func newLedger(t *testing.T) *ledgerShell {
	s := clitest.NewShell(t, Command)
	return &ledgerShell{s, s.Broker.Topic(t, 1)}
}

// withReplays makes a ledger of two runs: ann has replayed the first four of eight letters, bob the next three, one of
// them edited. Of ann's, 0 was answered, 1 twice, 2 has become a dead letter again beside its result, and 3 has failed
// elsewhere.
func withReplays(t *testing.T) *ledgerShell {
	t.Helper()
	l := newLedger(t)
	var msgs []kafka.Message
	for i := range int64(8) {
		msgs = append(msgs, l.deadLetter(schemas.Position{Topic: l.Requests, Partition: int32(i % 3), Offset: 1000 + i}, i))
	}
	l.Broker.ProduceTo(t, l.Dead, 0, msgs...)
	placed := l.replay("run-a", "ann@host", "", 0, 4)
	edited := ledger.Change{Field: "contractId", From: "70001", To: "4111111111111111"}
	dropped := ledger.Change{Field: "deadline", From: "2026-01-31T12:00:00Z"}
	l.replay("run-b", "bob@host", "--reason expired", 4, 7, edited, dropped)

	var results []kafka.Message
	for i, outcome := range []string{0: "complete", 1: "partial", 2: "complete", 3: "failed", 4: "partial"} {
		r := schemas.Result{
			RequestID: "r", ContractID: 7, Outcome: outcome, Reason: schemas.ReasonExpired, CorrelationID: "c",
			RetrievedAt: time.Now(),
			Source:      placed[[]int{0, 1, 2, 3, 1}[i]].Request,
		}
		m := r.Message(nil)
		results = append(results, foreignLetter(m.Key, m.Value, m.Headers...))
	}
	for i := range results {
		results[i].Time = time.Now()
	}
	l.Broker.Produce(t, l.Results, results...)
	l.Broker.ProduceTo(t, l.Dead, 0, l.deadLetter(placed[2].Request, 2))
	return l
}

func (l *ledgerShell) deadLetter(source schemas.Position, i int64) kafka.Message {
	d := schemas.DeadLetter{
		Record: &schemas.Record{
			Position: source, Key: []byte("k"), Value: fmt.Appendf(nil, `{"contractId":%d,"balanceCodes":["A"]}`, 70000+i),
		},
		Reason: schemas.ReasonExpired, DecidedAt: time.Now(),
	}
	m := d.Message(schemas.Origin{})
	msg := foreignLetter(m.Key, m.Value, m.Headers...)
	msg.Time = m.Time
	return msg
}

// replay puts back the letters from first up to next. The last one has these changes.
func (l *ledgerShell) replay(run, by, filter string, first, next int64,
	changes ...ledger.Change) (placed []*replay.Candidate) {
	l.Helper()
	r, err := replay.Begin(l.Context(), replay.Config{
		Letters: l.Dead, Requests: l.Requests, Ledger: l.replays, Run: run, By: by, Filter: filter,
	}, l.client(), l.client(l.replays))
	if err != nil {
		l.Fatal(err)
	}
	var chunk []*replay.Candidate
	scan := deadletter.Scan{Client: l.client(l.Dead), Topic: l.Dead, From: kafkawire.Earliest}
	err = scan.Each(l.Context(), func(letter *deadletter.Letter) error {
		if letter.Offset >= first && letter.Offset < next {
			chunk = append(chunk, r.Prepare(letter))
		}
		return nil
	})
	if err == nil {
		chunk[len(chunk)-1].Changes = changes
		placed, err = r.Put(l.Context(), chunk)
	}
	if err != nil || int64(len(placed)) != next-first {
		l.Fatalf("%d replayed, error %v", len(placed), err)
	}
	return placed
}

func TestDeadLettersHistoryUsage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	tests := map[string]struct{ args, want string }{
		"since":        {"--since yesterday", "--since: "},
		"until":        {"--until -1h", "--until: "},
		"nothing left": {"--since 1h --until 2h", "--since and --until: nothing lies between them"},
		"limit":        {"--limit -1", "--limit: -1 is less than 0"},
		"output":       {"--output yaml", `--output: "yaml" is not known`},
		"argument":     {"run-a", `unexpected argument "run-a"`},
	}
	s := clitest.NewShell(t, Command)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.Run(command.ExitUsage, append([]string{"deadletters", "history"}, strings.Fields(test.args)...)...)
			clitest.WantText(t, "the error", c.Err.String(), test.want)
		})
	}
}

// table is the output without its times and with its columns apart.
func table(text string) string {
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(text, "WHEN")
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "|")
}

func TestDeadLettersHistory(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	began := time.Now().Truncate(time.Millisecond)
	l := withReplays(t)
	const header = "RUN|STARTED|BY|REPLAYED|ANSWERED|DEAD AGAIN|OPEN|FILTER\n"
	const ann, bob = "run-a|WHEN|ann@host|4|2|1|1|(all)\n", "run-b|WHEN|bob@host|3|0|0|3|--reason expired\n"
	for args, want := range map[string]string{
		"":                                header + ann + bob,
		"--since 1h --run run-b":          header + bob,
		"--by ann":                        header + ann,
		"--limit 1":                       header + bob + "1 run before; raise --limit to see them\n",
		"--until 1h":                      "nothing like that has been replayed (7 replays in all)\n",
		"--until 1h --output json":        "",
		"--records --by carol":            "nothing like that has been replayed (7 replays in all)\n",
		"--limit 2 --run run-a":           header + ann,
		"--since 2000-01-01T00:00:00Z":    header + ann + bob,
		"--by bob@host --limit 1":         header + bob,
		"--run run-a --by bob":            "nothing like that has been replayed (7 replays in all)\n",
		"--records --limit 1 --by ann@ho": "nothing like that has been replayed (7 replays in all)\n",
	} {
		c := l.Run(command.ExitDone, append([]string{"deadletters", "history"}, strings.Fields(args)...)...)
		if got := table(c.Out.String()); got != want || c.Err.String() != "" {
			t.Errorf("%s:\n%s%s\nwant:\n%s", args, got, &c.Err, want)
		}
	}
	c := l.Run(command.ExitDone, "deadletters", "history", "--output", "json")
	var runs []runJSON
	for _, line := range rows(c.Out.String()) {
		var r runJSON
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if at, err := time.Parse(time.RFC3339, r.First); err != nil || at.Before(began) || at.After(time.Now()) ||
			r.Last < r.First {
			t.Errorf("from %s to %s", r.First, r.Last)
		}
		r.First, r.Last = "", ""
		runs = append(runs, r)
	}
	type reasons = map[schemas.Reason]int64
	want := []runJSON{
		{Run: "run-a", By: "ann@host", Replayed: 4, Answered: 2, DeadAgain: 1, Open: 1, Reasons: reasons{"expired": 4}},
		{Run: "run-b", By: "bob@host", Filter: "--reason expired", Replayed: 3, Open: 3, Reasons: reasons{"expired": 3}},
	}
	if fmt.Sprint(runs) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", runs, want)
	}
	// What was replayed is no longer listed.
	c = l.Run(command.ExitDone, "deadletters", "list", "--not-replayed", "--records", "--output", "json")
	if lines := rows(c.Out.String()); len(lines) != 2 ||
		!strings.Contains(lines[0], `"offset":7}}`) || !strings.Contains(lines[1], `"offset":8}}`) {
		t.Errorf("listed:\n%s", &c.Out)
	}
}

func TestDeadLettersHistoryRecords(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	l := withReplays(t)
	c := l.Run(command.ExitDone, "deadletters", "history", "--records")
	lines := rows(table(c.Out.String()))
	if len(lines) != 7 {
		t.Fatalf("output:\n%s", &c.Out)
	}
	for i, want := range []string{
		"answered|ann@host", "answered|ann@host", "dead again|ann@host", "open|ann@host", "open|bob@host", "open|bob@host",
		"open|bob@host|edited: contractId 70001 → 411111******1111, deadline 2026-01-31T12:00:00Z → (none)",
	} {
		want = fmt.Sprintf(`^WHEN\|\[0/%d\] → %s/%d/\d+\|expired\|%s$`, i, l.Requests, i%3, regexp.QuoteMeta(want))
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("got  %s\nwant %s", lines[i], want)
		}
	}
	c = l.Run(command.ExitDone, "deadletters", "history", "--records", "--limit", "2")
	shown := append([]string{"5 requests before; raise --limit to see them"}, lines[5:]...)
	if got := rows(table(c.Out.String())); !slices.Equal(got, shown) {
		t.Errorf("the last two:\n%s", &c.Out)
	}
	c = l.Run(command.ExitDone, "deadletters", "history", "--records", "--output", "json", "--by", "bob", "--limit", "1")
	var got replayJSON
	if err := json.Unmarshal([]byte(c.Out.String()), &got); err != nil {
		t.Fatalf("%v\n%s", err, &c.Out)
	}
	if got.Run != "run-b" || got.Letter != (schemas.Position{Topic: l.Dead, Offset: 6}) ||
		got.Request.Topic != l.Requests || got.Replay != 1 ||
		got.Outcome != replay.Open || len(got.Changes) != 2 || got.Changes[0].To != "4111111111111111" ||
		got.Reason != schemas.ReasonExpired {
		t.Errorf("got %+v", got)
	}
}

// Before anything was replayed there is nothing to show, and a cluster without the topic says how to make it.
func TestDeadLettersHistoryOfNothing(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	l := newLedger(t)
	if c := l.Run(command.ExitDone, "deadletters", "history"); c.Out.String() != "nothing has been replayed\n" {
		t.Errorf("output: %s", &c.Out)
	}
	l.Broker.ProduceTo(t, l.Dead, 0, l.deadLetter(schemas.Position{Topic: l.Requests}, 0))
	if c := l.Run(command.ExitDone, "deadletters", "list", "--not-replayed", "--records"); len(rows(c.Out.String())) != 1 {
		t.Errorf("output: %s", &c.Out)
	}
	l.replays += "-gone"
	for _, args := range []string{"history", "list --not-replayed"} {
		c := l.Run(command.ExitFailed, append([]string{"deadletters"}, strings.Fields(args)...)...)
		clitest.WantText(t, "the error", c.Err.String(), "topic "+l.replays+" does not exist, or",
			"create it with: balanceq topics create", "--operation Describe --topic "+l.replays)
	}
}

// Entry writes any text into the ledger as an entry.
func (l *ledgerShell) Entry(value string) {
	l.Broker.ProduceTo(l.T, l.replays, 0, foreignLetter(nil, []byte(value), text(schemas.HeaderReplayRun, "x")))
}

// Nothing of a ledger acts on a terminal, and nothing of it lets a command hang or end without saying why.
func TestDeadLettersHistoryHostile(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	l := newLedger(t)
	evil := strings.ToValidUTF8(hostile, "\ufffd")
	at := func(topic string, partition int32, offset int64) schemas.Position {
		return schemas.Position{Topic: topic, Partition: partition, Offset: offset}
	}
	for _, e := range []ledger.Entry{
		{Run: evil, By: evil, Filter: evil, Time: time.Now(), Letter: at(evil, 0, 0), Request: at(evil, 1, 2),
			Reason: schemas.Reason(evil), Changes: []ledger.Change{{Field: evil, From: evil, To: evil}, {}, {Field: "value"}}},
		{Run: "r", By: "4111111111111111", Filter: "--contract 4111111111111111", Letter: at(l.Dead, -1, -1),
			Request: at(l.Requests, -1, -1<<63), Replay: -7},
		{Run: "r", Time: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Letter: at(l.Dead, 1<<31-1, 1<<63-1),
			Request: at(l.Requests, 1<<31-1, 1<<63-1)},
		{Run: strings.Repeat("long ", 10000), Letter: at("x", 0, 0)},
	} {
		value, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		l.Entry(string(value))
	}
	l.Broker.ProduceTo(t, l.replays, 0, kafka.Message{Value: []byte(hostile)}, kafka.Message{})
	id := text(schemas.HeaderEventID, l.Requests+"/-1/-9223372036854775808")
	l.Broker.Produce(t, l.Results, foreignLetter([]byte(hostile), []byte(hostile), id), kafka.Message{})
	warning := "warning: something else has written to " + l.replays + ", which is for replays alone: 2 records\n"
	for _, args := range []string{"", "--records", "--output json", "--records --output json"} {
		c := l.Run(command.ExitDone, append([]string{"deadletters", "history"}, strings.Fields(args)...)...)
		fitForTerminal(t, args, c.Out.String())
		if c.Err.String() != warning {
			t.Errorf("%s: standard error: %s", args, &c.Err)
		}
		want := 4
		if args == "--output json" {
			want = 3 // no header
		}
		if len(rows(c.Out.String())) != want {
			t.Errorf("%s: output:\n%.2000s", args, &c.Out)
		}
		if strings.Contains(args, "json") == strings.Contains(c.Out.String(), "411111******1111") {
			t.Errorf("%s: masked where it should not be, or not where it should:\n%.2000s", args, &c.Out)
		}
	}
	l.Run(command.ExitDone, "deadletters", "list", "--not-replayed")
	for _, broken := range []string{
		hostile, `{"run":"x","letter":{"topic":"` + evil + `"}}`, `{"run":"x","run":"x","letter":{"topic":"t"}}`,
		`{"run":["` + "\u009b31m" + `"]}`, `{"` + "\u009b31m" + `":1,"` + "\u009b31m" + `":1}`,
	} {
		l := &ledgerShell{l.Shell, l.Broker.Topic(t, 1)}
		l.Entry(broken)
		for _, args := range []string{"history", "history --records", "list --not-replayed"} {
			c := l.Run(command.ExitFailed, append([]string{"deadletters"}, strings.Fields(args)...)...)
			clitest.WantText(t, "the error", c.Err.String(), "the ledger cannot be read: entry "+l.replays+"/0/0")
			fitForTerminal(t, args, c.Err.String())
			if c.Out.String() != "" {
				t.Errorf("%s: output:\n%s", args, &c.Out)
			}
		}
	}
}

// Ctrl-C ends it without half a table.
func TestDeadLettersHistoryInterrupted(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	l := withReplays(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range []string{"history", "history --records", "list --not-replayed"} {
		var out, errOut clitest.Output
		all := l.Args(append([]string{"deadletters", "--topics.replays", l.replays}, strings.Fields(args)...)...)
		code := clitest.Execute(ctx, all, nil, &out, &errOut, Command)
		if code != command.ExitInterrupted || out.String() != "" || errOut.String() != "" {
			t.Errorf("%s: exit code %d, output %s%s", args, code, &out, &errOut)
		}
	}
}
