package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"

	"github.com/segmentio/kafka-go"
)

// ledger calls the program with a topic of replays of its own.
type ledger struct {
	*shell
	replays string // topic
}

func (l *ledger) run(code int, args ...string) *command {
	l.Helper()
	return l.shell.run(code, append(args, "--topics.replays", l.replays)...)
}

func (l *ledger) client(topics ...string) *kafkawire.Client {
	c := kafkawire.NewClient(kafkawire.Settings{Brokers: l.broker.Brokers(), ClientID: "history-test"}, topics...)
	l.Cleanup(c.Close)
	return c
}

func newLedger(t *testing.T) *ledger {
	s := newShell(t)
	return &ledger{s, s.broker.Topic(t, 1)}
}

// withReplays makes a ledger of two runs: ann has replayed the first four of eight letters, bob the next three, one of them
// edited. Of ann's, 0 was answered, 1 twice, 2 has become a dead letter again beside its result, and 3 has failed elsewhere.
func withReplays(t *testing.T) *ledger {
	t.Helper()
	l := newLedger(t)
	var msgs []kafka.Message
	for i := range int64(8) {
		msgs = append(msgs, l.deadLetter(schemas.Position{Topic: l.requests, Partition: int32(i % 3), Offset: 1000 + i}, i))
	}
	l.broker.ProduceTo(t, l.dead, 0, msgs...)
	placed := l.replay("run-a", "ann@host", "", 0, 4)
	edited := deadletter.Change{Field: "contractId", From: "70001", To: "4111111111111111"}
	dropped := deadletter.Change{Field: "deadline", From: "2026-01-31T12:00:00Z"}
	l.replay("run-b", "bob@host", "--reason expired", 4, 7, edited, dropped)

	var results []kafka.Message
	for i, outcome := range []string{0: "complete", 1: "partial", 2: "complete", 3: "failed", 4: "partial"} {
		r := schemas.Result{
			RequestID: "r", ContractID: 7, Outcome: outcome, Reason: schemas.ReasonExpired, CorrelationID: "c", RetrievedAt: time.Now(),
			Source: schemas.Position(placed[[]int{0, 1, 2, 3, 1}[i]].Request),
		}
		m := r.Message(nil)
		results = append(results, foreignLetter(m.Key, m.Value, m.Headers...))
	}
	for i := range results {
		results[i].Time = time.Now()
	}
	l.broker.Produce(t, l.results, results...)
	l.broker.ProduceTo(t, l.dead, 0, l.deadLetter(schemas.Position(placed[2].Request), 2))
	return l
}

func (l *ledger) deadLetter(source schemas.Position, i int64) kafka.Message {
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
func (l *ledger) replay(run, by, filter string, first, next int64, changes ...deadletter.Change) (placed []*deadletter.Candidate) {
	l.Helper()
	r, err := deadletter.NewReplay(l.Context(), deadletter.ReplayConfig{
		Letters: l.dead, Requests: l.requests, Ledger: l.replays, Run: run, By: by, Filter: filter,
	}, l.client(), l.client(l.replays))
	if err != nil {
		l.Fatal(err)
	}
	var chunk []*deadletter.Candidate
	scan := deadletter.Scan{Client: l.client(l.dead), Topic: l.dead, From: kafkawire.Earliest}
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
	tests := map[string]struct{ args, want string }{
		"since":        {"--since yesterday", "--since: "},
		"until":        {"--until -1h", "--until: "},
		"nothing left": {"--since 1h --until 2h", "--since and --until: nothing lies between them"},
		"limit":        {"--limit -1", "--limit: -1 is less than 0"},
		"output":       {"--output yaml", `--output: "yaml" is not known`},
		"argument":     {"run-a", `unexpected argument "run-a"`},
	}
	s := newShell(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.run(exitUsage, append([]string{"deadletters", "history"}, strings.Fields(test.args)...)...)
			wantText(t, "the error", c.err.String(), test.want)
		})
	}
}

// table is the output without its times and with its columns apart.
func table(text string) string {
	text = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})?`).ReplaceAllString(text, "WHEN")
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "|")
}

func TestDeadLettersHistory(t *testing.T) {
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
		"--records --by nobody":           "nothing like that has been replayed (7 replays in all)\n",
		"--limit 2 --run run-a":           header + ann,
		"--since 2000-01-01T00:00:00Z":    header + ann + bob,
		"--by bob@host --limit 1":         header + bob,
		"--run run-a --by bob":            "nothing like that has been replayed (7 replays in all)\n",
		"--records --limit 1 --by ann@ho": "nothing like that has been replayed (7 replays in all)\n",
	} {
		c := l.run(exitDone, append([]string{"deadletters", "history"}, strings.Fields(args)...)...)
		if got := table(c.out.String()); got != want || c.err.String() != "" {
			t.Errorf("%s:\n%s%s\nwant:\n%s", args, got, &c.err, want)
		}
	}
	c := l.run(exitDone, "deadletters", "history", "--output", "json")
	var runs []runJSON
	for _, line := range rows(c.out.String()) {
		var r runJSON
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if at, err := time.Parse(time.RFC3339, r.First); err != nil || time.Since(at) > time.Minute || r.Last < r.First {
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
	c = l.run(exitDone, "deadletters", "list", "--not-replayed", "--records", "--output", "json")
	if lines := rows(c.out.String()); len(lines) != 2 ||
		!strings.Contains(lines[0], `"offset":7}}`) || !strings.Contains(lines[1], `"offset":8}}`) {
		t.Errorf("listed:\n%s", &c.out)
	}
}

func TestDeadLettersHistoryRecords(t *testing.T) {
	l := withReplays(t)
	c := l.run(exitDone, "deadletters", "history", "--records")
	lines := rows(table(c.out.String()))
	if len(lines) != 7 {
		t.Fatalf("output:\n%s", &c.out)
	}
	for i, want := range []string{
		"answered|ann@host", "answered|ann@host", "dead again|ann@host", "open|ann@host", "open|bob@host", "open|bob@host",
		"open|bob@host|edited: contractId 70001 → 411111******1111, deadline 2026-01-31T12:00:00Z → (none)",
	} {
		want = fmt.Sprintf(`^WHEN\|\[0/%d\] → %s/%d/\d+\|expired\|%s$`, i, l.requests, i%3, regexp.QuoteMeta(want))
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("got  %s\nwant %s", lines[i], want)
		}
	}
	c = l.run(exitDone, "deadletters", "history", "--records", "--limit", "2")
	shown := append([]string{"5 requests before; raise --limit to see them"}, lines[5:]...)
	if got := rows(table(c.out.String())); !slices.Equal(got, shown) {
		t.Errorf("the last two:\n%s", &c.out)
	}
	c = l.run(exitDone, "deadletters", "history", "--records", "--output", "json", "--by", "bob", "--limit", "1")
	var got replayJSON
	if err := json.Unmarshal([]byte(c.out.String()), &got); err != nil {
		t.Fatalf("%v\n%s", err, &c.out)
	}
	if got.Run != "run-b" || got.Letter != (positionJSON{l.dead, 0, 6}) || got.Request.Topic != l.requests || got.Replay != 1 ||
		got.Outcome != deadletter.ReplayOpen || len(got.Changes) != 2 || got.Changes[0].To != "4111111111111111" || got.Reason != schemas.ReasonExpired {
		t.Errorf("got %+v", got)
	}
}

// Before anything was replayed there is nothing to show, and a cluster without the topic says how to make it.
func TestDeadLettersHistoryOfNothing(t *testing.T) {
	l := newLedger(t)
	if c := l.run(exitDone, "deadletters", "history"); c.out.String() != "nothing has been replayed\n" {
		t.Errorf("output: %s", &c.out)
	}
	l.broker.ProduceTo(t, l.dead, 0, l.deadLetter(schemas.Position{Topic: l.requests}, 0))
	if c := l.run(exitDone, "deadletters", "list", "--not-replayed", "--records"); len(rows(c.out.String())) != 1 {
		t.Errorf("output: %s", &c.out)
	}
	l.replays += "-gone"
	for _, args := range []string{"history", "list --not-replayed"} {
		c := l.run(exitFailed, append([]string{"deadletters"}, strings.Fields(args)...)...)
		wantText(t, "the error", c.err.String(), "topic "+l.replays+" does not exist, or", "create it with: balanceq topics create", "--operation Describe --topic "+l.replays)
	}
}

// entry writes any text into the ledger as an entry.
func (l *ledger) entry(value string) {
	l.broker.ProduceTo(l.T, l.replays, 0, foreignLetter(nil, []byte(value), text(schemas.HeaderReplayRun, "x")))
}

// Nothing of a ledger acts on a terminal, and nothing of it lets a command hang or end without saying why.
func TestDeadLettersHistoryHostile(t *testing.T) {
	l := newLedger(t)
	evil := strings.ToValidUTF8(hostile, "\ufffd")
	at := func(topic string, partition int32, offset int64) deadletter.Place {
		return deadletter.Place{Topic: topic, Partition: partition, Offset: offset}
	}
	for _, e := range []deadletter.Entry{
		{Run: evil, By: evil, Filter: evil, Time: time.Now(), Letter: at(evil, 0, 0), Request: at(evil, 1, 2),
			Reason: schemas.Reason(evil), Changes: []deadletter.Change{{Field: evil, From: evil, To: evil}, {}, {Field: "value"}}},
		{Run: "r", By: "4111111111111111", Filter: "--contract 4111111111111111", Letter: at(l.dead, -1, -1),
			Request: at(l.requests, -1, -1<<63), Replay: -7},
		{Run: "r", Time: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Letter: at(l.dead, 1<<31-1, 1<<63-1),
			Request: at(l.requests, 1<<31-1, 1<<63-1)},
		{Run: strings.Repeat("long ", 10000), Letter: at("x", 0, 0)},
	} {
		value, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		l.entry(string(value))
	}
	l.broker.ProduceTo(t, l.replays, 0, kafka.Message{Value: []byte(hostile)}, kafka.Message{})
	id := text(schemas.HeaderEventID, l.requests+"/-1/-9223372036854775808")
	l.broker.Produce(t, l.results, foreignLetter([]byte(hostile), []byte(hostile), id), kafka.Message{})
	warning := "warning: something else has written to " + l.replays + ", which is for replays alone: 2 records\n"
	for _, args := range []string{"", "--records", "--output json", "--records --output json"} {
		c := l.run(exitDone, append([]string{"deadletters", "history"}, strings.Fields(args)...)...)
		fitForTerminal(t, args, c.out.String())
		if c.err.String() != warning {
			t.Errorf("%s: standard error: %s", args, &c.err)
		}
		want := 4
		if args == "--output json" {
			want = 3 // no header
		}
		if len(rows(c.out.String())) != want {
			t.Errorf("%s: output:\n%.2000s", args, &c.out)
		}
		if strings.Contains(args, "json") == strings.Contains(c.out.String(), "411111******1111") {
			t.Errorf("%s: masked where it should not be, or not where it should:\n%.2000s", args, &c.out)
		}
	}
	l.run(exitDone, "deadletters", "list", "--not-replayed")
	for _, broken := range []string{
		hostile, `{"run":"x","letter":{"topic":"` + evil + `"}}`, `{"run":"x","run":"x","letter":{"topic":"t"}}`,
		`{"run":["` + "\u009b31m" + `"]}`, `{"` + "\u009b31m" + `":1,"` + "\u009b31m" + `":1}`,
	} {
		l := &ledger{l.shell, l.broker.Topic(t, 1)}
		l.entry(broken)
		for _, args := range []string{"history", "history --records", "list --not-replayed"} {
			c := l.run(exitFailed, append([]string{"deadletters"}, strings.Fields(args)...)...)
			wantText(t, "the error", c.err.String(), "the ledger cannot be read: entry "+l.replays+"/0/0")
			fitForTerminal(t, args, c.err.String())
			if c.out.String() != "" {
				t.Errorf("%s: output:\n%s", args, &c.out)
			}
		}
	}
}

// Ctrl-C ends it without half a table.
func TestDeadLettersHistoryInterrupted(t *testing.T) {
	l := withReplays(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range []string{"history", "history --records", "list --not-replayed"} {
		var out, errOut output
		all := l.args(append([]string{"deadletters", "--topics.replays", l.replays}, strings.Fields(args)...)...)
		code := execute(ctx, all, nil, &out, &errOut)
		if code != exitFailed || out.String() != "" || errOut.String() != "balanceq: interrupted\n" {
			t.Errorf("%s: exit code %d, output %s%s", args, code, &out, &errOut)
		}
	}
}
