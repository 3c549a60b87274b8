package e2e

import (
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// An id that looks like a card number is used, and never shown.
func TestCardNumbersAreMasked(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the program emits")
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	const answered, missing = "4111111111111111", "4040000000000012"
	if !schemas.LooksLikeCardNumber(4111111111111111) || !schemas.LooksLikeCardNumber(4040000000000012) {
		t.Fatal("these ids do not look like card numbers")
	}
	good := r.Send(ask(4111111111111111, "AVAILABLE"))[0]
	bad := ask(4040000000000012, "AVAILABLE")
	bad.Value = []byte(`{"contractId":` + missing + `,"balanceCodes":["A"],"requestId":"for ` + missing + `"}`)
	bad = r.Send(bad)[0]
	var broken []kafka.Message
	for _, text := range []string{
		`{"contractId":"x` + answered + `","balanceCodes":["A"],"requestId":"` + answered + `"}`,
		`{"contractId":"1","balanceCodes":["` + answered + `, or so"],"deadline":"` + missing + `"}`,
	} {
		broken = append(broken, r.Send(kafka.Message{Value: []byte(text)})...)
	}
	in := r.StartReady("--log.level=trace")
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.Result(good)
	for i, d := range []deadLetter{l.Dead(bad), l.Dead(broken[0]), l.Dead(broken[1])} {
		for _, h := range d.msg.Headers {
			if strings.Contains(string(h.Value), answered) || strings.Contains(string(h.Value), missing) {
				t.Errorf("dead letter %d: header %s shows a card number: %s", i, h.Key, h.Value)
			}
		}
	}
	if id := headersOf(l.Dead(bad).msg)[schemas.HeaderRequestID]; id != "for 404000******0012" {
		t.Errorf("request id %q", id)
	}
	in.Stop()
	if log := in.output.String(); strings.Contains(log, answered) || strings.Contains(log, missing) {
		t.Error("the log shows a card number")
	}
}
