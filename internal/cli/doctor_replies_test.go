package cli

import (
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/cli/clitest"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// Doctor sees in the topic who waits for answers, and what of that cannot work.
func TestDoctorSeesWhoWaits(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, nil)
	c.Broker.Produce(t, c.Requests, kafka.Message{Key: []byte("70001"),
		Value: []byte(`{"contractId":"70001","balanceCodes":["AVAILABLE"]}`), Headers: []kafka.Header{
			{Key: "kafka_correlationId", Value: []byte{0, 255}}, {Key: schemas.HeaderReplyTopic, Value: []byte("theirs")}}})
	got := c.asJSON("--no-call").find(t, "replies")
	if got.Status != "warn" {
		t.Errorf("%+v", got)
	}
	clitest.WantText(t, "the detail", got.Detail, "1 of the last 1 records", "kafka_correlationId", "hears of no failure",
		"in topics that are not in results.reply-topics, and get none: theirs")
	clitest.WantText(t, "the fix", got.Fix, "set results.publish-failures to true",
		"add the topic to results.reply-topics")
	got = c.asJSON("--no-call", "--results.publish-failures=true").find(t, "replies")
	if got.Status != "warn" || strings.Contains(got.Detail, "hears of no failure") {
		t.Errorf("with failures: %+v", got)
	}
}

// Doctor sees in the topic whose ids do not come back: attributes of events that nothing on the record makes some.
func TestDoctorSeesEventsThatAreNone(t *testing.T) {
	kafkatest.OnlyOnce(t, "what doctor finds and prints")
	w := newWard(t)
	c := w.open(t, nil)
	ask := func(value string, headers ...string) (m kafka.Message) {
		m.Key, m.Value = []byte("70001"), []byte(value)
		for _, key := range headers {
			m.Headers = append(m.Headers, kafka.Header{Key: key, Value: []byte("1.0")})
		}
		return m
	}
	plain, named := `{"contractId":"70001","balanceCodes":["AVAILABLE"]}`,
		`{"contractId":"70001","balanceCodes":["AVAILABLE"],"requestId":"a"}`
	c.Broker.Produce(t, c.Requests, ask(plain), ask(plain, "ce_id", "ce_specversion"), ask(named, "ce-id"))
	if got := c.asJSON("--no-call").find(t, "replies"); got.Status != "ok" {
		t.Errorf("%+v", got)
	}
	c.Broker.Produce(t, c.Requests, ask(plain, "ce-id", "ce-specversion"), ask(plain, "ce_id"))
	got := c.asJSON("--no-call").find(t, "replies")
	if got.Status != "warn" {
		t.Errorf("%+v", got)
	}
	clitest.WantText(t, "the detail", got.Detail, "2 have attributes of CloudEvents", "their results have another id")
	clitest.WantText(t, "the fix", got.Fix, "send headers ce_…")
}
