package main

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	taken := map[string]rounds{
		modeBatch: {
			{{{"requests/s", 1000}}, {{"requests/s", 900}}},
			{{{"requests/s", 2000}}, {{"requests/s", 500}}},
			{{{"requests/s", 1500}}, {{"requests/s", 1500}}},
		},
		modeRate: {{{{"p50, ms", 20}, {"p99, ms", 40}}, {{"p50, ms", 30}, {"p99, ms", 160}}}},
	}
	var out strings.Builder
	if err := compare(&out, []string{modeRate, modeBatch}, taken); err != nil {
		t.Fatal(err)
	}
	const want = `
| mode | figure | at-least-once | exactly-once | ratio (lowest–highest) |
|---|---|---|---|---|
| rate | p50, ms | 20.00 | 30.00 | 1.50 (1.50–1.50) |
| rate | p99, ms | 40.00 | 160 | 4.00 (4.00–4.00) |
| batch | requests/s | 1500 | 900 | 0.90 (0.25–1.00) |
`
	if out.String() != want {
		t.Errorf("got %s\nwant %s", out.String(), want)
	}
}

func TestMedian(t *testing.T) {
	values := []float64{3, 1, 2, 10}
	if got := median(values); got != 2.5 {
		t.Error(got)
	}
	if got := median(values[:3]); got != 2 || values[0] != 3 {
		t.Error(got, values)
	}
}
