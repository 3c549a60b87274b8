package answers

import (
	"testing"

	"github.com/balanceq/balanceq/schemas"
)

func TestResultText(t *testing.T) {
	balance := schemas.Balance{Code: "A", Value: "9811.310", Currency: "EUR"}
	tests := map[string]struct {
		result schemas.Result
		want   string
	}{
		"complete": {schemas.Result{Balances: []schemas.Balance{balance, {Code: "B", Value: "-1"}}},
			"A 9811.310 EUR, B -1"},
		"no value": {schemas.Result{Balances: []schemas.Balance{{Code: "A", Currency: "EUR"}, {Code: "B"}}},
			"A without a value EUR, B without a value"},
		"partial": {schemas.Result{Balances: []schemas.Balance{balance}, MissingBalanceCodes: []string{"B", "C"}},
			"A 9811.310 EUR; missing: B, C"},
		"nothing there":    {schemas.Result{MissingBalanceCodes: []string{"B"}}, "no balances; missing: B"},
		"failed":           {schemas.Result{Outcome: schemas.OutcomeFailed, Reason: schemas.ReasonExpired}, "expired"},
		"with an escape":   {schemas.Result{MissingBalanceCodes: []string{"\x1b[31m"}}, "no balances; missing:  [31m"},
		"other directions": {schemas.Result{MissingBalanceCodes: []string{"a\u202eb"}}, "no balances; missing: a b"},
		"card numbers": {schemas.Result{Balances: []schemas.Balance{{Code: "4111111111111111", Value: "4111111111111111"}},
			MissingBalanceCodes: []string{"5555-5555-5555-4444"}},
			"411111******1111 4111111111111111; missing: 5555-55**-****-4444"},
		"a forged reason": {schemas.Result{Outcome: schemas.OutcomeFailed, Reason: "4111111111111111\x1b"},
			"411111******1111 "},
		"letters are shown": {schemas.Result{MissingBalanceCodes: []string{"Ü日本"}}, "no balances; missing: Ü日本"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := resultText(&test.result); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDeadLetterText(t *testing.T) {
	tests := map[string]struct {
		info schemas.DeadLetterInfo
		want string
	}{
		"all": {schemas.DeadLetterInfo{Reason: "r", Detail: "d", HTTPStatus: 500, CMSReasonCode: "C", Attempts: 3},
			"r: d (HTTP 500 C, 3 attempts)"},
		"status told":    {schemas.DeadLetterInfo{Reason: "r", Detail: "status 404", HTTPStatus: 404}, "r: status 404"},
		"reason only":    {schemas.DeadLetterInfo{Reason: "expired", Attempts: 1}, "expired"},
		"another writer": {schemas.DeadLetterInfo{Detail: "broken"}, "broken"},
		"status only":    {schemas.DeadLetterInfo{Reason: "r", HTTPStatus: 404}, "r (HTTP 404)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := DeadLetterText(&test.info); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
