package cmssim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/schemas"
)

// The schema's limits: |value| < 10^18 with up to 4 decimals; a JSON number, so no leading zeros and no "-0".
var amount = regexp.MustCompile(`^(-?[1-9][0-9]{0,17}|0)(\.[0-9]{1,4})?$`)

// TestLedger checks for any contract and codes that the answer obeys the schema, says what Balances says and repeats
// itself.
func TestLedger(t *testing.T) {
	sim := cmssim.New(cmssim.Config{})
	rapid.Check(t, func(t *rapid.T) {
		contractID := rapid.Int64Range(schemas.MinContractID, schemas.MaxContractID).Draw(t, "contract")
		codes := rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(cmssim.Codes), "NO_CODE")), 1, 20).Draw(t, "codes")

		target := fmt.Sprintf("/contracts/%d/balances?balance_codes=%s", contractID, strings.Join(codes, ","))
		w := direct(sim, http.MethodGet, target)
		if again := direct(cmssim.New(cmssim.Config{Seed: 7}), http.MethodGet,
			target); again.Body.String() != w.Body.String() {
			t.Fatalf("two simulators differ:\n%s\n%s", w.Body, again.Body)
		}
		if !cmssim.Exists(contractID) {
			if w.Code != http.StatusNotFound || cmssim.Balances(contractID, codes...) != nil {
				t.Fatalf("contract %d does not exist, but: %d", contractID, w.Code)
			}
			return
		}
		got := decodeBalances(t, w.Body.Bytes())
		if want := cmssim.Balances(contractID, codes...); !slices.Equal(got, want) {
			t.Fatalf("answer and Balances differ:\n%v\n%v", got, want)
		}
		ids := make(map[string]bool)
		for _, b := range got {
			if ids[b.ID] {
				t.Fatalf("balance id %s twice", b.ID)
			}
			ids[b.ID] = true
			if b.Value != "" && !amount.MatchString(b.Value) || b.Currency != "" && len(b.Currency) != 3 || len(b.ID) > 18 {
				t.Fatalf("outside of the schema: %+v", b)
			}
		}
	})
}

type fataler interface {
	Fatalf(format string, args ...any)
}

func decodeBalances(t fataler, body []byte) []schemas.Balance {
	var answer struct {
		ContractBalances []struct {
			BalanceCode     string
			BalanceID       json.Number
			BalanceCurrency string
			BalanceValue    json.Number
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("undecodable: %v\n%s", err, body)
	}
	var out []schemas.Balance
	for _, b := range answer.ContractBalances {
		out = append(out, schemas.Balance{
			Code: b.BalanceCode, ID: b.BalanceID.String(), Currency: b.BalanceCurrency, Value: b.BalanceValue.String(),
		})
	}
	return out
}

// TestLedgerIsVaried guards the mix that tests and demos rely on.
func TestLedgerIsVaried(t *testing.T) {
	kinds := make(map[string]int)
	for contractID := int64(1); contractID <= 2000; contractID++ {
		for _, b := range cmssim.Balances(contractID, cmssim.Codes...) {
			kinds["currency "+b.Currency]++
			_, decimals, _ := strings.Cut(b.Value, ".")
			switch {
			case b.Value == "" && b.Currency == "":
				kinds["neither"]++
			case b.Value == "":
				kinds["no value"]++
			case strings.HasPrefix(b.Value, "-"):
				kinds["negative"]++
			case strings.Trim(b.Value, "0.") == "":
				kinds["zero"]++
			}
			if b.Value != "" {
				kinds[fmt.Sprintf("%d decimals", len(decimals))]++
			}
		}
	}
	for _, kind := range []string{
		"currency ", "currency EUR", "currency USD", "currency GBP", "currency JPY", "currency KWD", "currency CLF",
		"neither", "no value", "negative", "zero", "0 decimals", "2 decimals", "3 decimals", "4 decimals",
	} {
		if kinds[kind] < 50 {
			t.Errorf("%q: %d times only; all: %v", kind, kinds[kind], kinds)
		}
	}
}

// TestLedgerStaysAsItIs: others compare with these values, so a change of the ledger must be a decision.
func TestLedgerStaysAsItIs(t *testing.T) {
	for _, want := range []struct {
		contractID int64
		balance    schemas.Balance
	}{
		{1, schemas.Balance{Code: "AVAILABLE", ID: "36051392", Currency: "EUR", Value: "-37368.82"}},
		{1, schemas.Balance{Code: "BLOCKED", ID: "36051393", Currency: "EUR", Value: "0.00"}},
		{2, schemas.Balance{Code: "AVAILABLE", ID: "915771744", Value: "-95.711"}},
		{3, schemas.Balance{Code: "BLOCKED", ID: "518696177", Currency: "JPY", Value: "7457091"}},
		{4, schemas.Balance{Code: "OVL", ID: "501912740", Currency: "CHF", Value: "437643.05"}},
		{4, schemas.Balance{Code: "LINKED_ACC_AVAILABLE", ID: "501912747", Currency: "CLF", Value: "1142.6487"}},
		{5, schemas.Balance{Code: "OVL", ID: "1045647412"}},
		{9, schemas.Balance{Code: "PAST_DUE", ID: "1355627013", Currency: "EUR"}},
		{148, schemas.Balance{Code: "BLOCKED", ID: "374532753", Currency: "CLF", Value: "-22.0057"}},
		{148, schemas.Balance{Code: "TOTAL_BALANCE", ID: "374532759", Currency: "CLF", Value: "0.0000"}},
		{506, schemas.Balance{Code: "AVAILABLE", ID: "19987456", Currency: "KWD", Value: "-1421153.005"}},
	} {
		if got := cmssim.Balances(want.contractID, want.balance.Code); len(got) != 1 || got[0] != want.balance {
			t.Errorf("contract %d: %+v, want %+v", want.contractID, got, want.balance)
		}
	}
}

func TestExists(t *testing.T) {
	for id, want := range map[int64]bool{
		1: true, 40: true, 403: true, 404: false, 4040: false, 405: true, 1404: true,
		404_999_999_999_999_999: false, 999_999_999_999_999_999: true, 0: false, -404: false,
		1_000_000_000_000_000_000: false,
	} {
		if got := cmssim.Exists(id); got != want {
			t.Errorf("Exists(%d) = %v", id, got)
		}
	}
}
