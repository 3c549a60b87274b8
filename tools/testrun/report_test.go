package main

import (
	"strings"
	"testing"
)

const passing = `{"Action":"output","Package":"p","Output":"kafkatest: broker embedded\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":2.5}
{"Action":"output","Package":"p","Test":"TestB","Output":"    a_test.go:3: needs a broker\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"ok  \tp\t2.6s\n"}
{"Action":"pass","Package":"p","Elapsed":2.6}
`

const failing = `{"Action":"build-output","ImportPath":"r","Output":"r.go:1: undefined: x\n"}
{"Action":"output","Package":"q","Test":"TestC","Output":"    c_test.go:9: wrong\n"}
{"Action":"fail","Package":"q","Test":"TestC","Elapsed":1}
{"Action":"output","Package":"q","Test":"TestD","Output":"panic: out of time\n"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t3s\n"}
{"Action":"fail","Package":"q","Elapsed":3}
not an event
`

func TestReport(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(passing + failing)); err != nil {
		t.Fatal(err)
	}
	r.end(1)
	want := "ok  \tp\t2.6s\nr.go:1: undefined: x\n    c_test.go:9: wrong\npanic: out of time\nFAIL\tq\t3s\n" +
		"not an event\n" +
		"\n1 tests passed, 1 failed, 1 skipped in 0s\n    1 skipped: needs a broker (TestB)\n   2.5s  p TestA\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
