package e2e

import (
	"encoding/json"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// The whole program has the conformance suite's verdict on each request of it: an answer, or a dead letter that names
// the rule.
func TestConformanceThroughKafka(t *testing.T) {
	kafkatest.OnlyOnce(t, "what a valid request is")
	t.Parallel()
	text, err := schemas.Files.ReadFile("v1/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Cases []struct {
			File, Schema, Rule string
			Valid              bool
			Headers            map[string]string
		}
	}
	if err := json.Unmarshal(text, &suite); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 1, cmssim.Config{})
	sent := map[int]kafka.Message{}
	for i, c := range suite.Cases {
		if c.Schema != "balance-request.schema.json" {
			continue
		}
		value, err := schemas.Files.ReadFile("v1/" + c.File)
		if err != nil {
			t.Fatal(err)
		}
		m := kafka.Message{Value: value}
		for name, text := range c.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: name, Value: []byte(text)})
		}
		sent[i] = r.Send(m)[0]
	}
	in := r.StartReady()
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	for i, m := range sent {
		c := suite.Cases[i]
		if at := positionOf(m); c.Valid != (len(l.results[at]) == 1) || c.Valid == (len(l.dead[at]) == 1) {
			// One that has passed its deadline is a valid request, and not answered.
			if dead := l.dead[at]; !c.Valid || len(dead) != 1 || dead[0].Reason != schemas.ReasonExpired {
				t.Errorf("%s: %d results, %d dead letters", c.File, len(l.results[at]), len(l.dead[at]))
			}
		}
		if !c.Valid {
			if d := l.Dead(m); d.Reason != schemas.ReasonInvalidRequest || d.Detail != c.Rule {
				t.Errorf("%s: %s: %s, want %s", c.File, d.Reason, d.Detail, c.Rule)
			}
		}
	}
	if len(sent) < 30 {
		t.Errorf("%d requests", len(sent))
	}
	in.Stop()
}
