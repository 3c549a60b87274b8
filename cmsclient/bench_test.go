package cmsclient

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Admit and Get over real connections, 256 in flight. The server runs in the same process, so its work is counted, too.
func BenchmarkGet(b *testing.B) {
	client, _ := serve(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		io.WriteString(w, goodBody)
	}, nil)
	inParallel(b, client)
}

// The same against a transport that does nothing: what the client itself costs.
func BenchmarkGetWithoutNetwork(b *testing.B) {
	cfg := testConfig("http://cms.test/global-processing/core")
	header := http.Header{}
	cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Header: header, ContentLength: int64(len(goodBody)),
			Body: io.NopCloser(strings.NewReader(goodBody)),
		}, nil
	})
	inParallel(b, newTestClient(b, cfg, nil))
}

func inParallel(b *testing.B, client *Client) {
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := ask(b.Context(), client, 70001); err != nil {
					b.Error(err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
}
