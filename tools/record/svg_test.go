package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a program writes piece by piece is what a terminal would show.
func TestScreen(t *testing.T) {
	s := newScreen(12, 3)
	drawn := 0
	for _, piece := range []string{
		"before\r\n", "\x1b[?1049h\x1b[?25l\x1b[", "?2026h\x1b[Hone \x1b[1;32mtw", "o\x1b[0m\x1b[K\r\nthree \xe2",
		"\x95\xad\x1b[J\x1b[?2026l",
	} {
		s.write([]byte(piece), func() { drawn++ })
	}
	if got := s.String(); drawn != 1 || got != "one two     \nthree ╭     \n            \n" {
		t.Errorf("%d frames, shown:\n%s", drawn, got)
	}
	if got, want := s.cells[0][4].style, (style{bold: true, colour: 32}); got != want || s.cells[1][0].style != (style{}) {
		t.Errorf("style %+v, and %+v behind it", got, s.cells[1][0].style)
	}
	s.write([]byte("\x1b[?1049lafter\r\nand\r\nthe rest is long"), nil)
	if got := s.String(); got != "and         \nthe rest is \nlong        \n" {
		t.Errorf("after the other screen:\n%s", got)
	}
}

func TestThin(t *testing.T) {
	shows := func(at time.Duration, text string) frame {
		s := newScreen(4, 1)
		s.write([]byte(text), nil)
		return frame{at, s.lines()}
	}
	var got []time.Duration
	for _, f := range thin([]frame{shows(0, "a"), shows(5, "b"), shows(10, "c"), shows(25, "c"), shows(26, "d"),
		shows(27, "e")}, 10) {
		got = append(got, f.at)
	}
	if want := []time.Duration{0, 10, 26, 27}; !slices.Equal(got, want) {
		t.Errorf("frames at %v, not %v", got, want)
	}
}

// TestRecording holds the recording in docs against what the README may show: a picture of less than 300 KB that runs
// nothing.
func TestRecording(t *testing.T) {
	text, err := os.ReadFile("../../docs/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 300<<10 {
		t.Errorf("%d bytes", len(text))
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if element, ok := token.(xml.StartElement); ok {
			if element.Name.Local == "script" || element.Name.Local == "image" {
				t.Errorf("it has a %s", element.Name.Local)
			}
			for _, a := range element.Attr {
				if a.Name.Local == "href" && !strings.HasPrefix(a.Value, "#") {
					t.Errorf("it asks for %s", a.Value)
				}
			}
		}
	}
	for _, want := range []string{"OPEN", "0 lost", "0 repeated"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("nowhere it says %q", want)
		}
	}
}
