package http1

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// bankAnswer has the header that the CMS's gateway sends.
const bankAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: 0\r\n" +
	"Date: Mon, 30 Nov 2026 06:00:00 GMT\r\nX-MC-Correlation-ID: 0b6a1a2c-53a5-4b6d-9f1c-1f0d6f1c8a55\r\n\r\n"

// What an answer's header costs, where there is room for it from the last one.
func BenchmarkReadAnswer(b *testing.B) {
	b.ReportAllocs()
	text := strings.NewReader(bankAnswer)
	in := bufio.NewReader(text)
	var a answer

	for b.Loop() {
		text.Reset(bankAnswer)
		in.Reset(text)
		if err := a.read(in); err != nil {
			b.Fatal(err)
		}
	}
}

// What writing a request costs before the system call.
func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	target, err := url.Parse("http://cms.test/global-processing/core/contracts/70001/balances?balance_codes=AVAILABLE%2CBLOCKED")
	if err != nil {
		b.Fatal(err)
	}
	r := &http.Request{URL: target, Host: target.Host, Header: http.Header{
		"Accept": {"application/json;charset=utf-8"}, "Accept-Encoding": {"identity"},
		"Content-Type": {"application/json;charset=utf-8"}, "User-Agent": {"balanceq"},
		"Correlation-Id": {"2f1c3a0e-0f0b-4c39-9a55-5d3c0c6d7b10"},
	}}
	var c conn
	var out request
	for b.Loop() {
		if err := c.encode(&out, r); err != nil {
			b.Fatal(err)
		}
	}
}
