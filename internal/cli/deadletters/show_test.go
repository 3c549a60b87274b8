package deadletters

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

func TestDeadLettersShowUsage(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	tests := map[string]struct{ args, want string }{
		"nothing": {"",
			"which dead letter? write its partition and offset, for example: balanceq deadletters show 3/17"},
		"no offset":        {"3", `"3" is not the position of a dead letter; write partition/offset, for example 3/17`},
		"words":            {"a/b", `"a/b" is not the position`},
		"three":            {"1/2/3", `"1/2/3" is not the position`},
		"below zero":       {"0/+1", `"0/+1" is not the position`},
		"beyond all":       {"0/9223372036854775807", "is not the position"},
		"partition alone":  {"--partition 3", "--partition and --offset: one record is told by both"},
		"offset alone":     {"--offset 3", "--partition and --offset: one record is told by both"},
		"raw, several":     {"1/2 3/4 --raw", "--raw: writes the value of one dead letter, not of several"},
		"raw and JSON":     {"1/2 --raw --output json", "--raw and --output: give one of them"},
		"unknown output":   {"1/2 --output yaml", `--output: "yaml" is not known`},
		"an escaped thing": {"\x1b[31m/2", `"\x1b[31m/2" is not the position`},
	}
	s := clitest.NewShell(t, Command)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.Run(command.ExitUsage, append([]string{"deadletters", "show"}, strings.Fields(test.args)...)...)
			clitest.WantText(t, "the error", c.Err.String(), test.want)
		})
	}
}

func TestDeadLettersShow(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the command prints and how it ends")
	s := withLetters(t)
	show := func(t *testing.T, code, at int, more ...string) *clitest.Call {
		t.Helper()
		sub := *s
		sub.T = t
		return sub.Run(code, append([]string{"deadletters", "show", "0/" + strconv.Itoa(at)}, more...)...)
	}
	t.Run("balanceq's", func(t *testing.T) {
		c := show(t, command.ExitDone, atNotFound)
		clitest.WantText(t, "the output", c.Out.String(), s.Dead+"/0/0, written 2026-03-01T12:00:00.000Z",
			"  reason              contract-not-found\n", "  detail              why it was given up\n",
			"  contract            70404\n",
			"  balance codes       AVAILABLE, DUE\n", "  request id          mine\n",
			"  source              balance.requests/1/4711\n",
			"  group               balanceq\n", "  instance            balanceq-0\n", "  version             v1\n",
			"  HTTP status         404\n",
			"  CMS reason code     CONTRACT_DOES_NOT_EXIST\n", "  correlation id      c-1\n", "  CMS correlation id  cms-1\n",
			"  attempts            2\n", "  first failure       2026-03-01T11:59:00.000Z\n",
			"  last failure        2026-03-01T12:00:00.000Z",
			"  means               "+deadletter.AdviceFor(schemas.ReasonContractNotFound).Means+"\n",
			"                      balanceq deadletters replay --partition 0 --offset 0 --execute\n",
			"  key      70404\n", `  value    {"contractId":"70404","balanceCodes":["AVAILABLE","DUE"],"requestId":"mine"}`+"\n",
			"  headers  trace: t-77\n")
	})
	t.Run("by flags, and several", func(t *testing.T) {
		c := show(t, command.ExitDone, atNulls, "--partition", "0", "--offset", "5")
		clitest.WantText(t, "the output", c.Out.String(), "/0/4, written", "/0/5, written",
			"  key      (null)\n  value    (null)\n", "  key      (empty)\n  value    (empty)\n")
	})
	t.Run("an invalid one", func(t *testing.T) {
		c := show(t, command.ExitDone, atInvalid)
		clitest.WantText(t, "the output", c.Out.String(), "  contract            411111******1111\n",
			"  not valid           ",
			`  value    "{\n \"contractId\": 411111******1111}"`+"\n")
		if strings.Contains(c.Out.String(), "4111111111111111") {
			t.Errorf("the output is not masked:\n%s", &c.Out)
		}
	})
	t.Run("of another writer", func(t *testing.T) {
		c := show(t, command.ExitDone, atForeign)
		clitest.WantText(t, "the output", c.Out.String(), "  detail              no such order\n",
			"  source              orders/3/9\n", "  attempts            4\n",
			"  means               Another writer put it here")
	})
	t.Run("a large one", func(t *testing.T) {
		c := show(t, command.ExitDone, atLarge)
		clitest.WantText(t, "the output", c.Out.String(),
			`" … 4096 of 1048576 bytes; all: balanceq deadletters show 0/6 --raw`+"\n")
		if len(c.Out.String()) > 8<<10 {
			t.Errorf("%d bytes are shown", len(c.Out.String()))
		}
	})
	t.Run("many headers", func(t *testing.T) {
		c := show(t, command.ExitDone, atBomb)
		clitest.WantText(t, "the output", c.Out.String(), `long: "xxx`,
			`" … 1024 of 65536 bytes; all: balanceq deadletters show 0/7 --output json`)
		if n := strings.Count(c.Out.String(), "again: and again\n"); n != 499 {
			t.Errorf("%d headers are shown", n)
		}
	})
	t.Run("hostile", func(t *testing.T) {
		c := show(t, command.ExitDone, atHostile)
		quoted := strconv.Quote(hostile)
		clitest.WantText(t, "the output", c.Out.String(), "  key      "+quoted+"\n", "  value    "+quoted+"\n", "  headers  "+
			quoted+": "+quoted+"\n",
			`"": (empty)`, "null: (null)")
	})
	t.Run("JSON", func(t *testing.T) {
		for at := range allLetters {
			code := command.ExitDone
			if at == atStranger {
				code = command.ExitFailed
			}
			c := show(t, code, at, "--output", "json")
			shown := map[string]any{}
			if err := json.Unmarshal([]byte(c.Out.String()), &shown); err != nil {
				t.Fatalf("%v in %s", err, &c.Out)
			}
			advice, _ := shown["advice"].(map[string]any)
			commands, _ := advice["commands"].([]any)
			if advice["means"] == "" || len(commands) != 2 && at != atStranger {
				t.Errorf("advice: %v", advice)
			}
			delete(shown, "advice")
			c = s.Run(command.ExitDone, "deadletters", "export", "--partition", "0", "--offset", strconv.Itoa(at))
			exported := map[string]any{}
			if err := json.Unmarshal([]byte(c.Out.String()), &exported); err != nil ||
				fmt.Sprint(shown) != fmt.Sprint(exported) {
				t.Errorf("error %v; shown %v, exported %v", err, shown, exported)
			}
		}
	})
	t.Run("raw", func(t *testing.T) {
		for at, want := range map[int]string{atHostile: hostile, atEmpty: "", atNulls: "",
			atLarge: strings.Repeat("ü", 1<<19)} {
			if c := show(t, command.ExitDone, at, "--raw"); c.Out.String() != want {
				t.Errorf("%d: %.100q", at, &c.Out)
			}
		}
	})
	t.Run("not there", func(t *testing.T) {
		c := show(t, command.ExitFailed, atStranger)
		clitest.WantText(t, "the output", c.Out.String(), "  means               It is no dead letter: ",
			"  value    who wrote this?\n")
		clitest.WantText(t, "the error", c.Err.String(), s.Dead+"/0/3 is not a dead letter: ")
		c = show(t, command.ExitFailed, 9, "0/0", "1/0", "3/0")
		clitest.WantText(t, "the error", c.Err.String(), s.Dead+
			"/0/9 is beyond the end; the partition has the offsets 0 to 8\n",
			s.Dead+"/1/0 is beyond the end; the partition is empty\n", s.Dead+
				"/3/0 is not there: the topic has the partitions 0 to 2\n")
		clitest.WantText(t, "the output", c.Out.String(), "contract-not-found")
	})
}

// What is shown of a key or value tells what it is: no two look the same.
func TestBytesTextIsUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{
			"a", "\"", "\\", "\\x1b", "\x1b", "(null)", "(empty)", " ", "\n", "\\n", "ü", "\ufffd", "\xff", "\u009b", "\u200b",
			"\u00a0",
		})
		raw := strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "text"), "")
		shown := bytesText([]byte(raw), 100, "")
		got := shown
		switch {
		case shown == "(empty)":
			got = ""
		case strings.HasPrefix(shown, `"`):
			var err error
			if got, err = strconv.Unquote(shown); err != nil {
				t.Fatalf("%s: %v", shown, err)
			}
		}
		if got != raw {
			t.Fatalf("%q is shown as %s, which reads as %q", raw, shown, got)
		}
		if strings.ContainsFunc(shown, func(r rune) bool { return !printable.Rune(r) }) {
			t.Fatalf("%q is shown as %q", raw, shown)
		}
	})
	if got := bytesText([]byte(strings.Repeat("€", 40)), 100, "CMD"); got != `"`+strings.Repeat("€", 33)+
		`" … 99 of 120 bytes; all: CMD` {
		t.Errorf("a cut takes half a character along: %s", got)
	}
	if got := bytesText([]byte("4111111111111111"), 14, ""); !strings.HasPrefix(got, `"411111******11" …`) {
		t.Errorf("a cut shows a card number: %s", got)
	}
}

// Raw bytes go to a terminal only if they do nothing there.
func TestHarmless(t *testing.T) {
	for text, want := range map[string]bool{"": true, "{\n\t\"a\": \"ü\"}": true, "\x1b[31m": false, "\u009b": false,
		"\xff": false, "\r": false, "\u202e": false} {
		if harmless([]byte(text)) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal can be had here: ", err)
	}
	defer tty.Close()
	c := &command.Call{Env: &command.Env{Out: tty}}
	l := deadletter.Read(&schemas.Record{Position: schemas.Position{Topic: "dead"}, Value: []byte("\x1b[31m")})
	if err := showRaw(c, l); !term.IsTerminal(tty) || err == nil ||
		!strings.Contains(err.Error(), "redirect it to a file") {
		t.Errorf("a terminal: %t, error %v", term.IsTerminal(tty), err)
	}
}
