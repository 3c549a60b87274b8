package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/schemas"

	"pgregory.net/rapid"
)

func TestDeadLettersShowUsage(t *testing.T) {
	tests := map[string]struct{ args, want string }{
		"nothing":          {"", "which dead letter? write its partition and offset, for example: balanceq deadletters show 3/17"},
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
	s := newShell(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sub := *s
			sub.T = t
			c := sub.run(exitUsage, append([]string{"deadletters", "show"}, strings.Fields(test.args)...)...)
			wantText(t, "the error", c.err.String(), test.want)
		})
	}
}

func TestDeadLettersShow(t *testing.T) {
	s := withLetters(t)
	show := func(t *testing.T, code, at int, more ...string) *command {
		t.Helper()
		sub := *s
		sub.T = t
		return sub.run(code, append([]string{"deadletters", "show", "0/" + strconv.Itoa(at)}, more...)...)
	}
	t.Run("ours", func(t *testing.T) {
		c := show(t, exitDone, atNotFound)
		wantText(t, "the output", c.out.String(), s.dead+"/0/0, written 2026-03-01 ",
			"  reason              contract-not-found\n", "  detail              why it was given up\n", "  contract            70404\n",
			"  balance codes       AVAILABLE, DUE\n", "  request id          mine\n", "  source              balance.requests/1/4711\n",
			"  group               balanceq\n", "  instance            balanceq-0\n", "  version             v1\n", "  HTTP status         404\n",
			"  CMS reason code     CONTRACT_DOES_NOT_EXIST\n", "  correlation id      ours-1\n", "  CMS correlation id  theirs-1\n",
			"  attempts            2\n", "  first failure       2026-03-01 ", "  last failure        2026-03-01 ",
			"  means               "+deadletter.AdviceFor(schemas.ReasonContractNotFound).Means+"\n",
			"                      balanceq deadletters replay --partition 0 --offset 0 --execute\n",
			"  key      70404\n", `  value    {"contractId":"70404","balanceCodes":["AVAILABLE","DUE"],"requestId":"mine"}`+"\n", "  headers  trace: t-77\n")
	})
	t.Run("by flags, and several", func(t *testing.T) {
		c := show(t, exitDone, atNulls, "--partition", "0", "--offset", "5")
		wantText(t, "the output", c.out.String(), "/0/4, written", "/0/5, written", "  key      (null)\n  value    (null)\n", "  key      (empty)\n  value    (empty)\n")
	})
	t.Run("an invalid one", func(t *testing.T) {
		c := show(t, exitDone, atInvalid)
		wantText(t, "the output", c.out.String(), "  contract            411111******1111\n", "  not valid           ",
			`  value    "{\n \"contractId\": 411111******1111}"`+"\n")
		if strings.Contains(c.out.String(), "4111111111111111") {
			t.Errorf("the output is not masked:\n%s", &c.out)
		}
	})
	t.Run("of another writer", func(t *testing.T) {
		c := show(t, exitDone, atForeign)
		wantText(t, "the output", c.out.String(), "  detail              no such order\n", "  source              orders/3/9\n", "  attempts            4\n",
			"  means               Another writer put it here")
	})
	t.Run("a large one", func(t *testing.T) {
		c := show(t, exitDone, atLarge)
		wantText(t, "the output", c.out.String(), `" … 4096 of 1048576 bytes; all: balanceq deadletters show 0/6 --raw`+"\n")
		if len(c.out.String()) > 8<<10 {
			t.Errorf("%d bytes are shown", len(c.out.String()))
		}
	})
	t.Run("many headers", func(t *testing.T) {
		c := show(t, exitDone, atBomb)
		wantText(t, "the output", c.out.String(), `long: "xxx`, `" … 1024 of 65536 bytes; all: balanceq deadletters show 0/7 --output json`)
		if n := strings.Count(c.out.String(), "again: and again\n"); n != 499 {
			t.Errorf("%d headers are shown", n)
		}
	})
	t.Run("hostile", func(t *testing.T) {
		c := show(t, exitDone, atHostile)
		quoted := strconv.Quote(hostile)
		wantText(t, "the output", c.out.String(), "  key      "+quoted+"\n", "  value    "+quoted+"\n", "  headers  "+quoted+": "+quoted+"\n",
			`"": (empty)`, "null: (null)")
	})
	t.Run("JSON", func(t *testing.T) {
		for at := range allLetters {
			code := exitDone
			if at == atStranger {
				code = exitFailed
			}
			c := show(t, code, at, "--output", "json")
			shown := map[string]any{}
			if err := json.Unmarshal([]byte(c.out.String()), &shown); err != nil {
				t.Fatalf("%v in %s", err, &c.out)
			}
			advice, _ := shown["advice"].(map[string]any)
			commands, _ := advice["commands"].([]any)
			if advice["means"] == "" || len(commands) != 2 && at != atStranger {
				t.Errorf("advice: %v", advice)
			}
			delete(shown, "advice")
			c = s.run(exitDone, "deadletters", "export", "--partition", "0", "--offset", strconv.Itoa(at))
			exported := map[string]any{}
			if err := json.Unmarshal([]byte(c.out.String()), &exported); err != nil || fmt.Sprint(shown) != fmt.Sprint(exported) {
				t.Errorf("error %v; shown %v, exported %v", err, shown, exported)
			}
		}
	})
	t.Run("raw", func(t *testing.T) {
		for at, want := range map[int]string{atHostile: hostile, atEmpty: "", atNulls: "", atLarge: strings.Repeat("ü", 1<<19)} {
			if c := show(t, exitDone, at, "--raw"); c.out.String() != want {
				t.Errorf("%d: %.100q", at, &c.out)
			}
		}
	})
	t.Run("not there", func(t *testing.T) {
		c := show(t, exitFailed, atStranger)
		wantText(t, "the output", c.out.String(), "  means               It is no dead letter: ", "  value    who wrote this?\n")
		wantText(t, "the error", c.err.String(), s.dead+"/0/3 is not a dead letter: ")
		c = show(t, exitFailed, 9, "0/0", "1/0", "3/0")
		wantText(t, "the error", c.err.String(), s.dead+"/0/9 is beyond the end; the partition has the offsets 0 to 8\n",
			s.dead+"/1/0 is beyond the end; the partition is empty\n", s.dead+"/3/0 is not there: the topic has the partitions 0 to 2\n")
		wantText(t, "the output", c.out.String(), "contract-not-found")
	})
}

// The commands that advice ends with are there.
func TestAdviceCommands(t *testing.T) {
	for _, reason := range append([]schemas.Reason{"another"}, schemas.Reasons...) {
		for _, command := range deadletter.AdviceFor(reason).Commands(schemas.Position{Partition: 3, Offset: 17}) {
			args, ours := strings.CutPrefix(command, "balanceq ")
			if err := parseCommand(strings.Fields(args)); err != nil || !ours {
				t.Errorf("%s: %s: %v", reason, command, err)
			}
		}
	}
}

// What is shown of a key or value tells what it is: no two look the same.
func TestBytesTextIsUnambiguous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{
			"a", "\"", "\\", "\\x1b", "\x1b", "(null)", "(empty)", " ", "\n", "\\n", "ü", "\ufffd", "\xff", "\u009b", "\u200b", "\u00a0",
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
		if strings.ContainsFunc(shown, unprintable) {
			t.Fatalf("%q is shown as %q", raw, shown)
		}
	})
	if got := bytesText([]byte(strings.Repeat("€", 40)), 100, "CMD"); got != `"`+strings.Repeat("€", 33)+`" … 99 of 120 bytes; all: CMD` {
		t.Errorf("a cut takes half a character along: %s", got)
	}
	if got := bytesText([]byte("4111111111111111"), 14, ""); !strings.HasPrefix(got, `"411111******11" …`) {
		t.Errorf("a cut shows a card number: %s", got)
	}
}

// Raw bytes go to a terminal only if they do nothing there.
func TestHarmless(t *testing.T) {
	for text, want := range map[string]bool{"": true, "{\n\t\"a\": \"ü\"}": true, "\x1b[31m": false, "\u009b": false, "\xff": false, "\r": false, "\u202e": false} {
		if harmless([]byte(text)) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal can be had here: ", err)
	}
	defer tty.Close()
	p := &program{out: tty}
	l := deadletter.Read(&schemas.Record{Position: schemas.Position{Topic: "dead"}, Value: []byte("\x1b[31m")})
	if err := p.showRaw(l); !isTerminal(tty) || err == nil || !strings.Contains(err.Error(), "redirect it to a file") {
		t.Errorf("a terminal: %t, error %v", isTerminal(tty), err)
	}
}
