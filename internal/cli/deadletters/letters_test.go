package deadletters

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/cli/results"
	"github.com/balanceq/balanceq/internal/printable"
	"github.com/balanceq/balanceq/schemas"
)

// lettersAt are the records that withLetters writes: offset by offset of partition 0.
const (
	atNotFound = iota // balanceq's, contract 70404
	atInvalid         // balanceq's
	atForeign         // of a writer that knows Kafka's names only
	atStranger        // without any header of a dead letter
	atNulls           // balanceq's: null key, null value
	atEmpty           // balanceq's: empty key, empty value
	atLarge           // balanceq's: a value of 1 MiB
	atBomb            // balanceq's: 500 headers, one with 64 KiB
	atHostile         // everything that a terminal could act on, everywhere
	allLetters
)

// hostile is what a terminal acts on, or what hides what it shows.
const hostile = "a\x1b[31mb\u009b2Jc\x1b]52;c;ZXZpbA==\ad\x9ce\x00f\u202eg\u200bh\x7fi\u2028j\r\n\tk\xff\xc3"

var lettersWritten = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ownLetter is what balanceq writes.
func ownLetter(reason schemas.Reason, key, value []byte, headers ...schemas.Header) kafka.Message {
	d := schemas.DeadLetter{
		Record: &schemas.Record{
			Position: schemas.Position{Topic: "balance.requests", Partition: 1, Offset: 4711}, Key: key, Value: value,
			Headers: headers,
		},
		Reason: reason, Detail: "why it was given up", RequestID: "r-1", HTTPStatus: 404,
		CMSReasonCode: "CONTRACT_DOES_NOT_EXIST",
		Attempts:      2, FirstFailure: lettersWritten.Add(-time.Minute), LastFailure: lettersWritten,
		CorrelationID: "c-1", CMSCorrelationID: "cms-1", DecidedAt: lettersWritten,
	}
	m := d.Message(schemas.Origin{Group: "balanceq", Instance: "balanceq-0", Version: "v1"})
	return foreignLetter(m.Key, m.Value, m.Headers...)
}

func foreignLetter(key, value []byte, headers ...schemas.Header) kafka.Message {
	m := kafka.Message{Key: key, Value: value, Time: lettersWritten}
	for _, h := range headers {
		m.Headers = append(m.Headers, kafka.Header(h))
	}
	return m
}

func text(name, value string) schemas.Header { return schemas.Header{Key: name, Value: []byte(value)} }

// withLetters makes a shell whose dead-letter topic has all of these records.
func withLetters(t *testing.T) *clitest.Shell {
	t.Helper()
	s := clitest.NewShell(t, Command, results.Command)
	s.Dead = s.Broker.Topic(t, 3, "max.message.bytes=4000000")
	var bomb []schemas.Header
	for range 500 {
		bomb = append(bomb, text("again", "and again"))
	}
	bomb[7] = text("long", strings.Repeat("x", 64<<10))
	everywhere := []schemas.Header{
		text(hostile, hostile), text("", ""), {Key: "null"}, text(schemas.HeaderReason, hostile),
		text(schemas.HeaderDetail, hostile),
		text(schemas.HeaderErrorsMessage, hostile), text(schemas.HeaderErrorsTopic, hostile),
		text(schemas.HeaderErrorsPartition, "1"),
		text(schemas.HeaderErrorsOffset, "2"), text(schemas.HeaderErrorsGroup, hostile),
		text(schemas.HeaderRequestID, hostile),
		text(schemas.HeaderHTTPStatus, hostile), text(schemas.HeaderCMSReason, hostile),
		text(schemas.HeaderInstance, hostile),
		text(schemas.HeaderCorrelationID, hostile), text(schemas.HeaderReplayOf, hostile),
	}
	written := s.Broker.ProduceTo(t, s.Dead, 0,
		ownLetter(schemas.ReasonContractNotFound, []byte("70404"),
			[]byte(`{"contractId":"70404","balanceCodes":["AVAILABLE","DUE"],"requestId":"mine"}`), text("trace", "t-77")),
		ownLetter(schemas.ReasonInvalidRequest, []byte("k"), []byte("{\n \"contractId\": 4111111111111111}")),
		foreignLetter(nil, []byte("x"), text(schemas.HeaderErrorsTopic, "orders"), text(schemas.HeaderErrorsPartition, "3"),
			text(schemas.HeaderErrorsOffset, "9"), text(schemas.HeaderErrorsMessage, "no such order"),
			text(schemas.HeaderErrorsDeliveryCount, "4")),
		foreignLetter([]byte("key"), []byte("who wrote this?")),
		ownLetter(schemas.ReasonExpired, nil, nil),
		ownLetter(schemas.ReasonInternalError, []byte{}, []byte{}),
		ownLetter(schemas.ReasonInvalidRequest, []byte("k"), bytes.Repeat([]byte("ü"), 1<<19)),
		ownLetter(schemas.ReasonAttemptsExhausted, []byte("k"), []byte(`{"contractId":1,"balanceCodes":["A"]}`), bomb...),
		foreignLetter([]byte(hostile), []byte(hostile), everywhere...),
	)
	if len(written) != allLetters || written[0].Offset != 0 {
		t.Fatalf("%d records from offset %d on", len(written), written[0].Offset)
	}
	return s
}

// fitForTerminal checks that nothing acts on a terminal.
func fitForTerminal(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8", what)
	}
	for _, r := range text {
		if r != '\n' && !printable.Rune(r) {
			t.Errorf("%s holds %U", what, r)
			return
		}
	}
}

// rows returns the lines of an output.
func rows(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
