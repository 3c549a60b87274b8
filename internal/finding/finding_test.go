package finding

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
)

func TestString(t *testing.T) {
	for want, f := range map[string]Finding{
		"cms.url: is not set; set it (x.yaml:3, --cms.url)": {
			Key: "cms.url", What: "is not set", Fix: "set it", From: []string{"x.yaml:3", "--cms.url"}},
		"cms.url: is not set; set it":  {Key: "cms.url", What: "is not set", Fix: "set it"},
		"the broker is down; start it": {What: "the broker is down", Fix: "start it", Severity: Fail},
		"all is well":                  {What: "all is well"},
		"a: b (c)":                     {Key: "a", What: "b", From: []string{"c"}},
	} {
		if got := f.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Findings come out of errors as they went in, whatever their texts hold.
func TestOf(t *testing.T) {
	one := Finding{What: "a; b: c", Fix: "d; e: f\ng", Severity: Fail}
	two := Finding{Key: "k", What: "w", Severity: Warn, Passing: true}
	cause := io.ErrUnexpectedEOF
	failed := Finding{Key: "k", What: cause.Error(), Fix: "fix", Severity: Fail}
	for name, test := range map[string]struct {
		err  error
		want []Finding
	}{
		"none":       {nil, nil},
		"no finding": {errors.New("x; y"), []Finding{{What: "x; y", Severity: Fail}}},
		"some":       {Join(one, two), []Finding{one, two}},
		"failed":     {Failed("k", cause, "fix"), []Finding{failed}},
		"joined":     {errors.Join(Join(one), cause, Join(two)), []Finding{one, {What: cause.Error(), Severity: Fail}, two}},
		"in another": {fmt.Errorf("starting: %w", Join(two)), []Finding{{What: "starting: k: w", Severity: Fail}}},
	} {
		if got := Of(test.err); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
	if Join() != nil {
		t.Error("an error of nothing")
	}
	if !errors.Is(Failed("", cause, ""), cause) {
		t.Error("the cause is lost")
	}
}
