package main

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"time"
)

// film is a recording on its way to a picture.
type film struct {
	columns, rows int
	title         string
	hold, poster  time.Duration
	frames        []frame
}

// A character's cell and the margin, in pixels.
const (
	cellWidth  = 8.4
	cellHeight = 17
	fontSize   = 14
	margin     = 14
)

// palette are a dark terminal's colours, with a background of their own: readable on every page.
const palette = `.t{font-size:14px;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre;fill:#d8dee9}` +
	`.b{font-weight:700}.f{fill:#8b95a7}.c31{fill:#ff6b6b}.c32{fill:#6bd38a}.c33{fill:#f2c55c}.c34,.c36{fill:#6cb6ff}` +
	`.c35{fill:#d2a8ff}.c37{fill:#d8dee9}.c90{fill:#6b7689}`

// shown is the frame of the poster's moment.
func (f film) shown() int {
	at := 0
	for i, frame := range f.frames {
		if frame.at <= f.poster {
			at = i
		}
	}
	return at
}

// svg draws the frames side by side as a strip that is moved behind a window, step by step. Lines that recur are drawn
// once.
func (f film) svg() []byte {
	width := int(float64(f.columns)*cellWidth) + 2*margin
	height := f.rows*cellHeight + 2*margin
	var b, strip bytes.Buffer
	names := map[string]string{}
	var defs bytes.Buffer
	for i, frame := range f.frames {
		fmt.Fprintf(&strip, "<g transform=\"translate(%d)\">", i*width)
		for row, cells := range frame.lines {
			text := line(cells)
			if text == "" {
				continue
			}
			name, ok := names[text]
			if !ok {
				name = fmt.Sprintf("l%d", len(names))
				names[text] = name
				fmt.Fprintf(&defs, "<text id=\"%s\">%s</text>\n", name, text)
			}
			fmt.Fprintf(&strip, "<use href=\"#%s\" y=\"%d\"/>", name, row*cellHeight)
		}
		strip.WriteString("</g>\n")
	}
	fmt.Fprintf(&b,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
		width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s\n%s</style>\n", html.EscapeString(f.title), palette, f.motion(width))
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#1b2130\"/>\n<defs>\n%s</defs>\n", width, height,
		defs.Bytes())
	fmt.Fprintf(&b, "<svg width=\"%d\" height=\"%d\" viewBox=\"%d %d %d %d\"><g class=\"t "+
		"s\" transform=\"translate(%d)\">\n%s</g></svg>\n</svg>\n",
		width, height, -margin, -margin-fontSize, width, height, -f.shown()*width, strip.Bytes())
	return b.Bytes()
}

// motion is the strip's way: each frame for as long as it was seen. Where nothing moves, it stands at the poster (its
// attribute).
func (f film) motion(width int) string {
	var b strings.Builder
	if len(f.frames) == 1 {
		return ""
	}
	whole := f.frames[len(f.frames)-1].at + f.hold
	fmt.Fprintf(&b,
		"@media (prefers-reduced-motion:no-preference){.s{animation:s %.1fs step-end infinite}}\n@keyframes s{",
		whole.Seconds())
	for i, frame := range f.frames {
		fmt.Fprintf(&b, "%.2f%%{transform:translateX(%dpx)}", 100*frame.at.Seconds()/whole.Seconds(), -i*width)
	}
	b.WriteString("}\n")
	return b.String()
}

// line draws a line of a screen; each run of one style, and each word behind a wide gap, at its own column, so that no
// font's width moves it.
func line(cells []cell) string {
	var b strings.Builder
	for from := 0; from < len(cells); {
		if cells[from].r == ' ' {
			from++
			continue
		}
		to, text := from, strings.Builder{}
		for to < len(cells) && cells[to].style == cells[from].style && !gap(cells[to:]) {
			text.WriteRune(cells[to].r)
			to++
		}
		fmt.Fprintf(&b, "<tspan x=\"%.5g\"%s>%s</tspan>", float64(from)*cellWidth, class(cells[from].style),
			html.EscapeString(strings.TrimRight(text.String(), " ")))
		from = to
	}
	return b.String()
}

// gap says whether two blanks follow.
func gap(cells []cell) bool {
	return len(cells) > 1 && cells[0].r == ' ' && cells[1].r == ' '
}

func class(s style) string {
	var names []string
	if s.bold {
		names = append(names, "b")
	}
	if s.faint {
		names = append(names, "f")
	}
	if s.colour != 0 {
		names = append(names, fmt.Sprintf("c%d", s.colour))
	}
	if names == nil {
		return ""
	}
	return fmt.Sprintf(" class=%q", strings.Join(names, " "))
}
