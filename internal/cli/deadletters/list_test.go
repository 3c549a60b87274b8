package deadletters

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/tail"
)

func TestDeadLettersListUsage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	tests := map[string]struct{ args, want string }{
		"by":     {"--by day", `--by: "day" is not known`},
		"bucket": {"--bucket 1ms", "--bucket: 1ms is less than a second"},
		"limit":  {"--limit -1", "--limit: -1 is less than 0"},
		"output": {"--output yaml", `--output: "yaml" is not known`},
		"reason": {"--reason gone", `--reason: "gone" is not known`},
	}
	s := clitest.NewShell(t, Command)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.Run(command.ExitUsage, append([]string{"deadletters", "list"}, strings.Fields(test.args)...)...)
			clitest.WantText(t, "the error", c.Err.String(), test.want)
		})
	}
}

func TestDeadLettersList(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withLetters(t)
	t.Run("counts", func(t *testing.T) {
		c := s.Run(command.ExitDone, "deadletters", "list")
		got := regexp.MustCompile(` {2,}.*`).ReplaceAllString(c.Out.String(), "")
		if lines := rows(got); len(lines) != allLetters || lines[0] != "REASON" || lines[1] != "(none)" &&
			lines[1] != "invalid-request" || lines[len(lines)-1] != "total" {
			t.Errorf("output:\n%s", &c.Out)
		}
		clitest.WantText(t, "the table", regexp.MustCompile(` +`).ReplaceAllString(c.Out.String(), " "),
			"invalid-request 2 2026-03-01", "(none) 2 ", "contract-not-found 1 ", "total 9 ")
		c = s.Run(command.ExitDone, "deadletters", "list", "--by", "contract", "--limit", "1")
		clitest.WantText(t, "the table", c.Out.String(), "CONTRACT", "(none)", "3 groups more; raise --limit to see them\n")
		c = s.Run(command.ExitDone, "deadletters", "list", "--reason", "unexpected-response")
		if c.Out.String() != "no dead letters\n" {
			t.Errorf("of none: %s", &c.Out)
		}
	})
	t.Run("masks in text only", func(t *testing.T) {
		c := s.Run(command.ExitDone, "deadletters", "list", "--by", "contract")
		clitest.WantText(t, "the table", c.Out.String(), "411111******1111")
		c = s.Run(command.ExitDone, "deadletters", "list", "--by", "contract", "--output", "json")
		clitest.WantText(t, "JSON", c.Out.String(),
			`{"by":"contract","key":"4111111111111111","count":1,"first":"2026-03-01T12:00:00.000Z","last":"2026-03-01T12:00:00.000Z"}`)
	})
	t.Run("records", func(t *testing.T) {
		c := s.Run(command.ExitDone, "deadletters", "list", "--records")
		lines := rows(c.Out.String())
		if len(lines) != allLetters {
			t.Fatalf("output:\n%s", &c.Out)
		}
		for at, want := range map[int]string{
			atNotFound: "70404     dead letter  contract-not-found: why it was given up (HTTP 404 CONTRACT_DOES_NOT_EXIST, 2 " +
				"attempts)  [0/0]",
			atForeign:  "dead letter  no such order (4 attempts)  [0/2]",
			atStranger: " not a dead letter  it has none of the headers of one  [0/3]",
		} {
			clitest.WantText(t, "the line", lines[at], want)
		}
		c = s.Run(command.ExitDone, "deadletters", "list", "--records", "--limit", "2")
		if len(rows(c.Out.String())) != 2 {
			t.Errorf("output:\n%s", &c.Out)
		}
	})
	t.Run("records as JSON", func(t *testing.T) {
		c := s.Run(command.ExitDone, "deadletters", "list", "--records", "--output", "json")
		lines := rows(c.Out.String())
		for at, want := range map[int]string{
			atNotFound: `{"outcome":"dead-letter","requestId":"mine","contractId":"70404","reason":"contract-not-found",`,
			atForeign:  `{"outcome":"dead-letter","requestId":"orders/3/9","detail":"no such order","attempts":4,`,
			atStranger: `{"outcome":"not-a-dead-letter","attempts":0,"time":"2026-03-01T12:00:00.000Z","deadLetter":{`,
		} {
			if !strings.HasPrefix(lines[at], want) {
				t.Errorf("got  %s\nwant %s…", lines[at], want)
			}
		}
		// The command results shows the same.
		c = s.Run(command.ExitDone, "results", "--deadletters", "--from-beginning", "--exit", "--output", "json")
		for _, line := range rows(c.Out.String()) {
			if !slices.Contains(lines, line) {
				t.Errorf("not listed: %s", line)
			}
		}
	})
}

// Nothing of a record acts on a terminal, whatever shows it.
func TestDeadLettersOnTerminals(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withLetters(t)
	calls := []string{"list --records", "list --records --output json", "export", "export --format csv"}
	for _, by := range deadletter.Groupings {
		calls = append(calls, "list --by "+string(by), "list --output json --by "+string(by))
	}
	show := []string{"deadletters", "show", "0/0", "0/1", "0/2", "0/3", "0/4", "0/5", "0/6", "0/7", "0/8"}
	shows := [][]string{show, append(slices.Clone(show), "--output", "json")}
	for _, args := range shows {
		c := s.Run(command.ExitFailed, args...) // 0/3 is not a dead letter
		fitForTerminal(t, strings.Join(args, " "), c.Out.String())
		fitForTerminal(t, strings.Join(args, " ")+": standard error", c.Err.String())
	}
	for _, call := range calls {
		c := s.Run(command.ExitDone, append([]string{"deadletters"}, strings.Fields(call)...)...)
		fitForTerminal(t, call, c.Out.String())
		fitForTerminal(t, call+": standard error", c.Err.String())
		if c.Out.String() == "" {
			t.Errorf("%s shows nothing", call)
		}
	}
}

// Offsets without a record, as compaction and transactions leave them, are neither dead letters nor gaps.
func TestDeadLettersWithHoles(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Dead = s.Broker.Topic(t, 1)
	letters := func(n int) (all []kafka.Message) {
		for range n {
			all = append(all, ownLetter("expired", []byte("k"), []byte(`{"contractId":1,"balanceCodes":["A"]}`)))
		}
		return all
	}
	s.Broker.ProduceTo(t, s.Dead, 0, letters(3)...)
	s.Broker.ProduceTransaction(t, s.Dead, letters(5), false)
	s.Broker.ProduceTransaction(t, s.Dead, letters(2), true)
	s.Broker.ProduceTransaction(t, s.Dead, letters(4), false)
	c := s.Run(command.ExitDone, "deadletters", "list", "--output", "json")
	var group groupJSON
	if err := json.Unmarshal([]byte(c.Out.String()), &group); err != nil || group.Count != 5 || c.Err.String() != "" {
		t.Errorf("error %v, output:\n%s%s", err, &c.Out, &c.Err)
	}
	c = s.Run(command.ExitDone, "deadletters", "export")
	if n := len(rows(c.Out.String())); n != 5 || c.Err.String() != "exported 5 records\n" {
		t.Errorf("%d lines; %s", n, &c.Err)
	}
	c = s.Run(command.ExitFailed, "deadletters", "show", "0/4")
	clitest.WantText(t, "the error", c.Err.String(), s.Dead+
		"/0/4 is no record: it was compacted away, withdrawn with its transaction, ", "the partition has the offsets 0 to 16")
}

// What retention deletes while a scan is on its way is told, and the scan goes on behind it.
func TestDeadLettersExpireMeanwhile(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := clitest.NewShell(t, Command)
	s.Dead = s.Broker.Topic(t, 1, "max.message.bytes=4000000")
	for range 5 {
		s.Broker.ProduceTo(t, s.Dead, 0, ownLetter("expired", nil, make([]byte, 1<<20))) // more than fits one fetch
	}
	var errOut clitest.Output
	call := &command.Call{Env: &command.Env{Out: &clitest.Output{}, Err: &errOut}, Config: s.Configuration()}
	scan := newScan(call, &scanQuery{from: kafkawire.Earliest})
	var gaps []deadletter.Gap
	scan.gap = func(g deadletter.Gap) { gaps = append(gaps, g) }
	var offsets []int64
	err := scan.each(t.Context(), func(l *deadletter.Letter) error {
		if offsets = append(offsets, l.Offset); l.Offset == 0 {
			s.Broker.DeleteRecords(t, s.Dead, map[int32]int64{0: 3})
		}
		return nil
	})
	// The next fetch may have been under way when they were deleted.
	from := int64(1)
	if slices.Contains(offsets, 1) {
		from = 2
	}
	want := slices.Concat([]int64{0, 1}[:from], []int64{3, 4})
	if err != nil || !slices.Equal(offsets, want) {
		t.Errorf("read %v, error %v", offsets, err)
	}
	if len(gaps) != 1 || gaps[0].Span != (tail.Span{From: from, To: 3}) || gaps[0].Corrupt() {
		t.Errorf("gaps %+v", gaps)
	}
	clitest.WantText(t, "standard error", errOut.String(),
		fmt.Sprintf("warning: offsets %d to 2 of %s/0 were deleted", from, s.Dead))
	c := s.Run(command.ExitFailed, "deadletters", "show", "0/1")
	clitest.WantText(t, "the error", c.Err.String(),
		"0/1 has expired: the topic's retention has deleted it; the partition has the offsets 3 to 4")
}
