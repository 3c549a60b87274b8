package kafkawire

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Each code has the name that Kafka gives to it, once, and what only a person can cure says what to do.
func TestAnswers(t *testing.T) {
	t.Parallel()
	last := kafka.Error(-2)
	for _, a := range Answers {
		if want := kerr.TypedErrorForCode(int16(a.Code)); want.Message != a.Name {
			t.Errorf("%d is %s, not %s", a.Code, want.Message, a.Name)
		}
		if a.Code <= last {
			t.Errorf("%s is not behind %d", a.Name, last)
		}
		last = a.Code
		if a.Fix == "" && (a.Remedy == Operator || a.Remedy == Reshape) {
			t.Errorf("%s says nothing to people", a.Name)
		}
		err := fmt.Errorf("writing: %w", a.Code)
		if RemedyOf(err) != a.Remedy || Fix(err) != a.Fix {
			t.Errorf("%s: %v, %q", a.Name, RemedyOf(err), Fix(err))
		}
		if Transient(err) && a.Remedy != Repeat {
			t.Errorf("%s is transient, and its remedy is %v", a.Name, a.Remedy)
		}
	}
	if RemedyOf(kafka.Error(9999)) != Operator || Fix(kafka.Error(9999)) == "" {
		t.Error("a code that is not known is not for people")
	}
	if RemedyOf(io.ErrUnexpectedEOF) != Repeat || RemedyOf(context.DeadlineExceeded) != Repeat || Fix(io.EOF) != "" {
		t.Error("a connection's error is not repeated")
	}
}

// The table of docs/failures.md is this one.
func TestAnswersInTheDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "| code | name | remedy | what people can do |\n|---|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, a := range Answers {
		want = append(want, fmt.Sprintf("| %d | `%s` | %s | %s |", a.Code, a.Name, a.Remedy, a.Fix))
	}
	if got := strings.TrimSpace(table); !ok || got != strings.Join(want, "\n") {
		t.Errorf("the table of error codes should be:\n%s", strings.Join(want, "\n"))
	}
}

// What the broker says about a refusal is in the error, without what a terminal would take for commands.
func TestRefusedSaysWhatTheBrokerSays(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	record := func(n int32, s string) kmsg.ProduceResponseTopicPartitionErrorRecord {
		return kmsg.ProduceResponseTopicPartitionErrorRecord{RelativeOffset: n, ErrorMessage: &s}
	}
	for want, p := range map[string]kmsg.ProduceResponseTopicPartition{
		"(One or more records have been rejected; record 3 of the batch: no key)": {
			ErrorCode: 87, ErrorMessage: text("One or more records have been rejected"),
			ErrorRecords: []kmsg.ProduceResponseTopicPartitionErrorRecord{record(3, "no key"), record(4, "no key")},
		},
		"(clear [2J the screen)":                        {ErrorCode: 44, ErrorMessage: text("clear\x1b[2J the\nscreen")},
		"(" + strings.Repeat("x", maxBrokerText) + "…)": {ErrorCode: 44, ErrorMessage: text(strings.Repeat("x", 9999))},
	} {
		err := refused(&p)
		if RemedyOf(err) != RemedyOf(kafka.Error(p.ErrorCode)) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q, want %q", err, want)
		}
	}
	if refused(&kmsg.ProduceResponseTopicPartition{}) != nil {
		t.Error("an answer without an error")
	}
}
