package doctor

import (
	"strings"
	"testing"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// What publishers want of their results, and what is said of it.
func TestWishes(t *testing.T) {
	t.Parallel()
	type headers = []schemas.Header
	id := schemas.Header{Key: "kafka_correlationId", Value: []byte{0, 255}}
	long := schemas.Header{Key: "correlationId", Value: make([]byte, schemas.MaxEchoValue+1)}
	topic := func(name string) schemas.Header {
		return schemas.Header{Key: schemas.HeaderReplyTopic, Value: []byte(name)}
	}
	text := schemas.Header{Key: schemas.HeaderReplyPartition, Value: []byte("3")}
	for name, test := range map[string]struct {
		silent  bool // failures are not announced
		records []headers
		status  Status
		says    []string
	}{
		"no one waits": {true, []headers{nil, {{Key: "x"}}}, OK, []string{"0 of the last 2 records in q want"}},
		"all is well": {false, []headers{{id}, {id, topic("results"), text}, {id, topic("replies")}, nil}, OK,
			[]string{"3 of the last 4 records", "(kafka_correlationId)"}},
		"failures are not announced": {true, []headers{{id}}, Warn,
			[]string{"1 of the last 1", "hears of no failure", "set results.publish-failures to true"}},
		"other topics": {false, []headers{{topic("b")}, {topic("c")}, {topic("a")}, {topic("b")}, {topic("e\x1b[31m")}}, Warn,
			[]string{"5 want a copy in topics that are not in results.reply-topics, and get none: b, a, c, and 1 more"}},
		"a card number as a topic": {false, []headers{{topic("4111111111111111")}}, Warn, []string{"411111******1111"}},
		"a partition as text": {false, []headers{{topic("replies"), text}}, Warn,
			[]string{"1 have a kafka_replyPartition that is not 4 bytes"}},
		"too long": {false, []headers{{long}}, Warn,
			[]string{"1 have a header of results.echo-headers of more than 1024 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Topics.Results = "results"
			cfg.Results.ReplyTopics, cfg.Results.PublishFailures = []string{"replies"}, !test.silent
			w := newWishes(cfg)
			for _, h := range test.records {
				w.add(&kafkawire.Record{Headers: h})
			}
			got := summary("", w.describe("q"))
			if got.Status != test.status || (got.Fix != "") != (test.status == Warn) {
				t.Errorf("%+v", got)
			}
			for _, words := range test.says {
				if !strings.Contains(got.Detail+got.Fix, words) {
					t.Errorf("it does not say %q: %s; %s", words, got.Detail, got.Fix)
				}
			}
			if strings.ContainsAny(got.Detail, "\x1b") {
				t.Errorf("it is not for a terminal: %q", got.Detail)
			}
		})
	}
}
