package cmssim_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// discard is a ResponseWriter that costs nothing, so that the benchmarks show the handler alone.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkHandler(b *testing.B) {
	for name, c := range map[string]struct {
		target string
		config cmssim.Config
		fault  *cmssim.Fault
	}{
		"two codes": {"/contracts/12345/balances?balance_codes=AVAILABLE%2CBLOCKED", cmssim.Config{}, nil},
		"all codes": {"/contracts/12345/balances?balance_codes=" + strings.Join(cmssim.Codes, ","), cmssim.Config{},
			nil},
		"contract not found": {"/contracts/404/balances?balance_codes=AVAILABLE%2CBLOCKED", cmssim.Config{}, nil},
		"fault that passes": {"/contracts/12345/balances?balance_codes=AVAILABLE%2CBLOCKED", cmssim.Config{},
			&cmssim.Fault{Effect: cmssim.EffectStatus, Status: 503, Match: cmssim.Match{Contracts: []int64{1}}}},
		"recorded": {"/contracts/12345/balances?balance_codes=AVAILABLE%2CBLOCKED", cmssim.Config{Record: true}, nil},
		"delayed": {"/contracts/12345/balances?balance_codes=AVAILABLE%2CBLOCKED", cmssim.Config{Latency: time.Nanosecond},
			nil},
	} {
		b.Run(name, func(b *testing.B) {
			sim := cmssim.New(c.config)
			if c.fault != nil {
				sim.AddFault(*c.fault)
			}
			r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, cmssim.BasePath+c.target, nil)
			w := &discard{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				sim.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkSocket is one call over loopback with a keep-alive connection; most of it is net/http on both sides.
func BenchmarkSocket(b *testing.B) {
	server, err := cmssim.Listen("127.0.0.1:0", cmssim.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	request, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL()+sandboxCall, nil)
	b.ReportAllocs()
	for b.Loop() {
		response, err := client.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}
