package term

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/schollz/progressbar/v3"
)

// barDelay keeps the bar away from what is done at once.
const barDelay = 500 * time.Millisecond

// Progress draws a bar while a command works. Where out is no terminal it draws nothing.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer
	shown bool // out is a terminal
	max   int64
	Unit  string // of the rate that is shown; "": none is
	start time.Time
	bar   *progressbar.ProgressBar // nil: not drawn yet
}

// NewProgress takes the size of the input; -1: not known, then the bar has no end and no time left.
func NewProgress(out io.Writer, size int64) *Progress {
	return &Progress{out: out, shown: IsTerminal(out), max: size, start: time.Now()}
}

// Size says how much there is to do, where that was not known at first.
func (g *Progress) Size(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max = n
}

// Draw shows how far the input has been read, with text in front.
func (g *Progress) Draw(done int64, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shown || time.Since(g.start) < barDelay {
		return
	}
	if g.bar == nil {
		rate := func(*progressbar.ProgressBar) {}
		if g.Unit != "" {
			rate = func(p *progressbar.ProgressBar) {
				progressbar.OptionShowIts()(p)
				progressbar.OptionSetItsString(g.Unit)(p)
			}
		}
		g.bar = progressbar.NewOptions64(g.max, rate,
			progressbar.OptionSetWriter(g.out), progressbar.OptionSetWidth(20), progressbar.OptionThrottle(0),
			progressbar.OptionSetPredictTime(g.max > 0), progressbar.OptionSetElapsedTime(true),
			progressbar.OptionSetRenderBlankState(false))
	}
	if g.max > 0 {
		done = min(done, g.max-1) // a full bar would be taken for the end; end takes it away
	}
	_ = g.bar.Set64(done) // as in clear
	g.bar.Describe(text)
}

// Clear takes the bar off the line, for something else to be written; the next draw brings it back.
func (g *Progress) Clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bar != nil {
		_ = g.bar.Clear() // fails only where the terminal is gone
	}
}

// End takes the bar away for good.
func (g *Progress) End() {
	if g == nil {
		return
	}
	g.Clear()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shown = false
}

// Run makes a progress a hook of a logger that writes to the same terminal: it implements zerolog.Hook.
func (g *Progress) Run(*zerolog.Event, zerolog.Level, string) { g.Clear() }
