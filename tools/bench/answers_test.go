package main

import (
	"strings"
	"testing"
	"time"
)

func TestReadAnswer(t *testing.T) {
	got, err := readAnswer([]byte(`{"requestId":"7-1500","contractId":"100007","outcome":"complete"}`))
	if err != nil || got != (answer{7, time.Unix(0, 1500), "100007"}) {
		t.Errorf("%+v %v", got, err)
	}
	for _, value := range []string{``, `[]`, `{}`, `{"requestId":"7"}`, `{"requestId":"7-"}`, `{"requestId":"-7-1"}`,
		`{"requestId":"x-1"}`, `{"requestId":"7-x"}`, `{"requestId":"99999999999-1"}`, `{"requestId":7}`} {
		if got, err := readAnswer([]byte(value)); err == nil || !strings.Contains(err.Error(), "reading a result") {
			t.Errorf("%s: %+v %v", value, got, err)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`{"requestId":"7-1500","contractId":"100007"}`))
	f.Add([]byte(`{"requestId":"--"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if got, err := readAnswer(value); err == nil && got.number < 0 {
			t.Errorf("number %d", got.number)
		}
	})
}

func TestAnswers(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	a := newAnswers()
	for i, want := range []bool{true, true, false, true, true} {
		got := []answer{{3, at(0), "a"}, {0, at(0), "b"}, {3, at(0), "a"}, {1, at(0), "a"}, {2, at(0), "b"}}[i]
		if first := a.add(got, at(10*(i+1))); first != want {
			t.Errorf("%d: first %v", i, first)
		}
	}
	if a.distinct != 4 || a.repeated() != 1 || a.disorder() != 1 || !a.first.Equal(at(10)) || !a.last.Equal(at(50)) {
		t.Errorf("%+v", a)
	}
	if len(a.latencies) != 4 || a.latencies[3] != 50*time.Millisecond {
		t.Errorf("latencies %v", a.latencies)
	}
}
