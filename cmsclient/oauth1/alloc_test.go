//go:build !race

package oauth1

import (
	"crypto/rsa"
	"net/http"
	"testing"
)

// What a signature costs in allocations, at most, beside its RSA operation. Who lowers the figure lowers the budget.
func TestAllocations(t *testing.T) {
	key := mustGenerate(t, 2048)
	signer, err := New(exampleKey, RSASHA256, func() *rsa.PrivateKey { return key })
	if err != nil {
		t.Fatal(err)
	}
	r := newRequest(t, http.MethodGet,
		"https://sandbox.api.mastercard.com/global-processing/core/contracts/70001/balances?balance_codes=AVAILABLE%2CBLOCKED")
	r.Header = http.Header{}
	base := []byte(exampleKey)
	rsaAlone := testing.AllocsPerRun(20, func() { _, err = signer.sign(base) })
	if err != nil {
		t.Fatal(err)
	}
	all := testing.AllocsPerRun(20, func() { err = signer.Authenticate(r) })
	if err != nil {
		t.Fatal(err)
	}
	const budget = 16
	if n := all - rsaAlone; n > budget {
		t.Errorf("%v allocations, want at most %v", n, budget)
	}
}
