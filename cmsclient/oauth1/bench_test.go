package oauth1

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"testing"
)

// BenchmarkAuthenticate compares a call's signing with its RSA operation alone.
func BenchmarkAuthenticate(b *testing.B) {
	for _, bits := range []int{2048, 4096} {
		key := mustGenerate(b, bits)
		for _, method := range []Method{RSASHA256, RSAPSS} {
			signer, err := New(exampleKey, method, func() *rsa.PrivateKey { return key })
			if err != nil {
				b.Fatal(err)
			}
			r := newRequest(b, http.MethodGet, "https://sandbox.api.mastercard.com/global-processing/core/contracts/70001/"+
				"balances?balance_codes=AVAILABLE%2CBLOCKED")
			r.Header = http.Header{}
			b.Run(fmt.Sprintf("%s-%d/all", method, bits), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := signer.Authenticate(r); err != nil {
						b.Fatal(err)
					}
				}
			})
			base := []byte(exampleKey)
			b.Run(fmt.Sprintf("%s-%d/rsa", method, bits), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := signer.sign(base); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
