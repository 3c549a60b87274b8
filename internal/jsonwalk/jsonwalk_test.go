package jsonwalk

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// walk lists what an object or array holds: names, scalars and brackets.
func walk(dec *jsontext.Decoder, seen *[]string) error {
	switch dec.PeekKind() {
	case '{':
		*seen = append(*seen, "{")
		return Members(dec, new([]byte), func(name []byte) error {
			*seen = append(*seen, string(name)+":")
			return walk(dec, seen)
		})
	case '[':
		*seen = append(*seen, "[")
		return Elements(dec, func(int) error { return walk(dec, seen) })
	}
	raw, err := dec.ReadValue()
	*seen = append(*seen, string(raw))
	return err
}

func TestWalk(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                         "{",
		`{"a":1,"\u0062":[true,[]]}`: "{ a: 1 b: [ true [",
		`[{"a\"b":null},"x"]`:        `[ { a"b: null "x"`,
		`{"a":1,"a":2}`:              "error",
		`{"a":1`:                     "error",
		`{"a"}`:                      "error",
		`{1:2}`:                      "error",
		`[1,`:                        "error",
		`[1 2]`:                      "error",
		"{\"\xff\":1}":               "error",
		`{"\ud800":1}`:               "error",
	} {
		var seen []string
		err := walk(jsontext.NewDecoder(strings.NewReader(text)), &seen)
		if got := strings.Join(seen, " "); (err != nil) != (want == "error") || err == nil && got != want {
			t.Errorf("%s: got %s, error %v", text, got, err)
		}
	}
}

// An error of the caller ends the reading.
func TestWalkEnds(t *testing.T) {
	end := errors.New("enough")
	var names []string
	err := Members(jsontext.NewDecoder(strings.NewReader(`{"a":1,"b":2}`)), new([]byte), func(name []byte) error {
		names = append(names, string(name))
		return end
	})
	if !errors.Is(err, end) || !slices.Equal(names, []string{"a"}) {
		t.Errorf("%v, error %v", names, err)
	}
	err = Elements(jsontext.NewDecoder(strings.NewReader(`[1,2]`)), func(int) error { return end })
	if !errors.Is(err, end) {
		t.Error(err)
	}
}
