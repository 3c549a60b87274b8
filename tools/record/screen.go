package main

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// style is how a cell is drawn: the colour is one of the sixteen of a terminal, 0 for the text's own.
type style struct {
	bold, faint bool
	colour      int // 30 to 37 and 90 to 97
}

type cell struct {
	r     rune
	style style
}

// frame is what a screen showed at a moment.
type frame struct {
	at    time.Duration
	lines [][]cell
}

func (f frame) same(g frame) bool {
	return slices.EqualFunc(f.lines, g.lines, slices.Equal)
}

// screen understands as much of a terminal as the demo needs: text, colours, the cursor's home, erasing, the second
// screen. Everything else is passed over.
type screen struct {
	columns, rows int
	cells, other  [][]cell // of the screen that is shown, and of the other one
	row, column   int
	saved         [2]int // the cursor of the other screen
	style         style
	rest          []byte // of a sequence that was cut
}

func newScreen(columns, rows int) *screen {
	s := &screen{columns: columns, rows: rows}
	s.cells, s.other = s.blank(), s.blank()
	return s
}

func (s *screen) blank() [][]cell {
	cells := make([][]cell, s.rows)
	for i := range cells {
		cells[i] = s.blankRow()
	}
	return cells
}

func (s *screen) blankRow() []cell {
	return slices.Repeat([]cell{{r: ' '}}, s.columns)
}

// lines returns a copy of what is shown.
func (s *screen) lines() [][]cell {
	lines := make([][]cell, s.rows)
	for i, row := range s.cells {
		lines[i] = slices.Clone(row)
	}
	return lines
}

func (s *screen) String() string {
	var b strings.Builder
	for _, row := range s.cells {
		for _, c := range row {
			b.WriteRune(c.r)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// write draws what a program wrote; drawn is called at the end of each frame that it marks as one (synchronised
// output).
func (s *screen) write(p []byte, drawn func()) {
	p = append(s.rest, p...)
	for len(p) > 0 {
		var n int
		switch {
		case p[0] == '\x1b':
			n = s.escape(p, drawn)
		case !utf8.FullRune(p):
			n = 0
		default:
			var r rune
			r, n = utf8.DecodeRune(p)
			s.put(r)
		}
		if n == 0 {
			break
		}
		p = p[n:]
	}
	s.rest = slices.Clone(p)
}

func (s *screen) put(r rune) {
	switch {
	case r == '\n':
		s.newline()
	case r == '\r':
		s.column = 0
	case r == '\t':
		s.column = min(s.columns-1, (s.column/8+1)*8)
	case r >= ' ':
		if s.column == s.columns {
			s.column = 0
			s.newline()
		}
		s.cells[s.row][s.column] = cell{r, s.style}
		s.column++
	}
}

func (s *screen) newline() {
	if s.row++; s.row == s.rows {
		s.row--
		s.cells = append(s.cells[1:], s.blankRow())
	}
}

// escape executes the sequence that p begins with and returns its length, 0 if it is not all there.
func (s *screen) escape(p []byte, drawn func()) int {
	if len(p) < 2 {
		return 0
	}
	if p[1] != '[' {
		return 2
	}
	end := slices.IndexFunc(p[2:], func(b byte) bool { return b >= '@' && b <= '~' })
	if end < 0 {
		return 0
	}
	arguments := string(p[2 : 2+end])
	switch p[2+end] {
	case 'H':
		s.row, s.column = 0, 0
	case 'K':
		s.erase(s.row, s.column)
	case 'J':
		s.erase(s.row, s.column)
		for row := s.row + 1; row < s.rows; row++ {
			s.erase(row, 0)
		}
	case 'm':
		s.render(arguments)
	case 'h', 'l':
		switch arguments {
		case "?1049":
			s.cells, s.other = s.other, s.cells
			s.row, s.saved[0] = s.saved[0], s.row
			s.column, s.saved[1] = s.saved[1], s.column
		case "?2026":
			if p[2+end] == 'l' {
				drawn()
			}
		}
	}
	return 2 + end + 1
}

func (s *screen) erase(row, from int) {
	for i := from; i < s.columns; i++ {
		s.cells[row][i] = cell{r: ' '}
	}
}

// render sets the style of what follows (SGR).
func (s *screen) render(arguments string) {
	for argument := range strings.SplitSeq(arguments, ";") {
		n, _ := strconv.Atoi(argument) // none is 0
		switch {
		case n == 0:
			s.style = style{}
		case n == 1:
			s.style.bold = true
		case n == 2:
			s.style.faint = true
		case n == 22:
			s.style.bold, s.style.faint = false, false
		case n == 39:
			s.style.colour = 0
		case n >= 30 && n <= 37, n >= 90 && n <= 97:
			s.style.colour = n
		}
	}
}
