package demo

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"
)

// terminalView redraws one screen in place. It is no terminal application: it reads no keys and leaves the terminal's
// modes alone, so that Ctrl-C works as everywhere and nothing is left behind.
type terminalView struct {
	out   *os.File
	paint painter
}

func newTerminalView(out *os.File) terminalView {
	return terminalView{out: out, paint: newPainter(lipgloss.NewRenderer(out))}
}

// Escape sequences, as every terminal since the VT100 understands them; the last two keep a frame from being shown half
// drawn where they are known (synchronised output) and are ignored elsewhere.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen, cursor hidden
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseBelow  = "\x1b[J"
	beginFrame  = "\x1b[?2026h"
	endFrame    = "\x1b[?2026l"
)

const frameEvery = 200 * time.Millisecond

func (v terminalView) show(ctx context.Context, take func(time.Time) snapshot) {
	v.write(enterScreen)
	defer v.write(leaveScreen)
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	for now := time.Now(); ; {
		width, height, err := term.GetSize(int(v.out.Fd()))
		if err != nil {
			width, height = 80, 24
		}
		v.draw(v.paint.screen(take(now), width), height)
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
	}
}

// draw overwrites the screen line by line, without clearing it first: that would flicker.
func (v terminalView) draw(screen string, height int) {
	lines := strings.Split(screen, "\n")
	lines = lines[:min(len(lines), max(1, height))]
	var b strings.Builder
	b.WriteString(beginFrame + home)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + eraseLine)
	}
	b.WriteString(eraseBelow + endFrame)
	v.write(b.String())
}

func (v terminalView) write(s string) { _, _ = v.out.WriteString(s) }
