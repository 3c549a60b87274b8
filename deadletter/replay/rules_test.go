package replay

import (
	"strings"
	"testing"

	"github.com/balanceq/balanceq/deadletter"
	"github.com/balanceq/balanceq/schemas"
)

func TestRules(t *testing.T) {
	t.Parallel()
	replayed := func(n string) func(*schemas.DeadLetter) {
		return func(d *schemas.DeadLetter) {
			d.Record.Headers = append(d.Record.Headers, schemas.Header{Key: schemas.HeaderReplayCount, Value: []byte(n)})
		}
	}
	of := func(change func(*schemas.DeadLetter)) *deadletter.Letter { return letter(7, "{}", change) }
	known := &deadletter.Positions{}
	known.Add(2, 108)
	tests := map[string]struct {
		letter *deadletter.Letter
		want   Obstacle
	}{
		"free":             {letter(7, "{}"), ""},
		"no letter":        {deadletter.Read(&schemas.Record{Value: []byte("{}")}), NotADeadLetter},
		"of another topic": {of(func(d *schemas.DeadLetter) { d.Record.Topic = "orders" }), OtherTopic},
		"of noPosition": {deadletter.Read(&schemas.Record{Headers: []schemas.Header{{Key: schemas.HeaderErrorsMessage,
			Value: []byte("x")}}}), ""},
		"replayed":             {letter(8, "{}"), AlreadyReplayed},
		"twice":                {of(replayed("2")), ""},
		"three times":          {of(replayed("3")), ReplayLimit},
		"a large value":        {letter(7, strings.Repeat("v", 10_000)), TooLarge},
		"fits without headers": {letter(7, strings.Repeat("v", 8000)), ""},
		"without its value": {of(func(d *schemas.DeadLetter) {
			d.Record.Headers = append(d.Record.Headers, schemas.Header{Key: "unrelated", Value: []byte("x")})
			d.Record.Oversized = &schemas.Oversized{Size: 10, Headers: 1, Value: 5}
		}), Incomplete},
		"large headers": {of(func(d *schemas.DeadLetter) {
			d.Record.Headers = append(d.Record.Headers, schemas.Header{Key: "h", Value: make([]byte, 10_000)})
		}), TooLarge},
	}
	rules := Rules{Requests: "balance.requests", MaxReplays: 3, MaxBytes: 9000, Replayed: known}
	for name, test := range tests {
		if got := rules.Obstacle(test.letter); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	for _, o := range Obstacles {
		if text := rules.Explain(o); text == "" || text == string(o) {
			t.Errorf("%s is not explained: %q", o, text)
		}
	}
}
