package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

// painter draws snapshots. It uses the terminal's own sixteen colours, which its user has made readable.
type painter struct {
	bold, faint, good, warn, bad, box lipgloss.Style
}

func newPainter(r *lipgloss.Renderer) painter {
	plain := r.NewStyle()
	return painter{
		bold: plain.Bold(true), faint: plain.Faint(true),
		good: plain.Foreground(lipgloss.Color("2")).Bold(true),
		warn: plain.Foreground(lipgloss.Color("3")).Bold(true),
		bad:  plain.Foreground(lipgloss.Color("1")).Bold(true),
		box:  plain.Border(lipgloss.RoundedBorder()).BorderForeground(lipgloss.Color("8")).Padding(0, 1),
	}
}

const (
	narrowest = 72
	widest    = 100
)

// screen draws a snapshot for a terminal of that width: at most 24 lines, none of which reaches the last column.
func (p painter) screen(s snapshot, terminal int) string {
	width := min(max(terminal-1, narrowest), widest)
	act := story[s.act]
	name := p.bold.Render(fmt.Sprintf("%d/%d %s", s.act+1, len(story), act.name))
	lines := []string{
		p.title(s, width),
		"",
		" " + name + "  " + act.says,
		" " + p.faint.Render("Look at: "+act.watch),
		"",
		p.flow(s, width),
		"",
		p.breaker(s, width),
		" latency   " + p.latency(s),
		"",
		p.acts(s, width),
	}
	return clip(strings.Join(lines, "\n"), terminal-1)
}

// clip cuts lines that a narrow terminal would wrap.
func clip(screen string, width int) string {
	return lipgloss.NewStyle().MaxWidth(max(1, width)).Render(screen)
}

// title has a bar of the time that has passed.
func (p painter) title(s snapshot, width int) string {
	const bar = 24
	left := max(0, expected()-s.elapsed)
	done := int(bar * min(1, s.elapsed.Seconds()/expected().Seconds()))
	text := fmt.Sprintf("%.0f s, about %.0f s left", s.elapsed.Seconds(), left.Seconds())
	if left == 0 {
		text = fmt.Sprintf("%.0f s, nearly done", s.elapsed.Seconds())
	}
	right := p.good.Render(strings.Repeat("━", done)) + p.faint.Render(strings.Repeat("─", bar-done)+"  "+text)
	return spread(" "+p.bold.Render("balanceq demo"), right, width)
}

// spread puts two texts at the ends of a line.
func spread(left, right string, width int) string {
	gap := max(1, width-lipgloss.Width(left)-lipgloss.Width(right))
	return left + strings.Repeat(" ", gap) + right
}

// flow is the picture: requests → CMS → results and dead letters.
func (p painter) flow(s snapshot, width int) string {
	inner := width - 1 - 2*arrowWidth - 3*2 // without margin, arrows and three borders
	left, middle := inner*28/100, inner*30/100
	right := inner - left - middle
	results, dead := p.resultsBox(s, right), p.deadLettersBox(s, right)
	height := lipgloss.Height(results) + lipgloss.Height(dead)
	toResults, toDead := lipgloss.Height(results)/2, lipgloss.Height(results)+lipgloss.Height(dead)/2
	return lipgloss.JoinHorizontal(lipgloss.Top,
		" ", p.requestsBox(s, left, height), p.arrows(s, height, toResults), p.callsBox(s, middle, height),
		p.arrows(s, height, toResults, toDead), lipgloss.JoinVertical(lipgloss.Left, results, dead))
}

const arrowWidth = 3

// arrows draws arrows at the given lines; broken or barred ones where no call goes through.
func (p painter) arrows(s snapshot, height int, at ...int) string {
	lines := make([]string, height)
	for i := range lines {
		lines[i] = strings.Repeat(" ", arrowWidth)
	}
	for _, i := range at {
		switch {
		case s.breaker == cmsclient.BreakerOpen:
			lines[i] = p.bad.Render("╌╳╌")
		case s.coolDown > 0:
			lines[i] = p.warn.Render("─║ ")
		default:
			lines[i] = "──▶"
		}
	}
	return strings.Join(lines, "\n")
}

func (p painter) requestsBox(s snapshot, width, height int) string {
	lag := p.number("lag", s.lag, width)
	if s.lag > rate {
		lag = p.warn.Render(lag)
	}
	return p.frame(width, height, []string{
		p.head("requests", s.requestRate, width),
		p.number("published", s.requests, width),
		"", lag, p.bar(s.lag, width), "", "lag: not yet", "answered",
	})
}

// fullBar is the lag at which the bar is full, and the most that the traffic lets pile up.
const fullBar = rate * 8

func (p painter) bar(n, width int) string {
	inner := width - 2
	filled := min(inner, (n*inner+fullBar-1)/fullBar)
	return p.warn.Render(strings.Repeat("█", filled)) + p.faint.Render(strings.Repeat("░", inner-filled))
}

func (p painter) callsBox(s snapshot, width, height int) string {
	var serverErrors int64
	for status, n := range s.byStatus {
		if status >= 500 {
			serverErrors += n
		}
	}
	return p.frame(width, height, []string{
		p.head("CMS calls", s.callRate, width),
		p.number("made", s.calls, width), "",
		p.number("200 ok", int(s.byStatus[200]), width),
		p.number("404 unknown", int(s.byStatus[404]), width),
		p.number("429 wait", int(s.byStatus[429]), width),
		p.number("5xx failed", int(serverErrors), width),
		p.number("broken off", int(s.broken), width),
	})
}

func (p painter) resultsBox(s snapshot, width int) string {
	return p.frame(width, 0, []string{
		p.head("results "+thousands(s.results), s.resultRate, width),
		p.number(schemas.OutcomeComplete, s.outcomes[schemas.OutcomeComplete], width),
		p.number(schemas.OutcomePartial, s.outcomes[schemas.OutcomePartial], width),
	})
}

// deadLettersBox has a line for each reason that the story provokes; others would be seen in the total.
func (p painter) deadLettersBox(s snapshot, width int) string {
	lines := []string{p.head("dead letters "+thousands(s.deadLetters), s.deadLetterRate, width)}
	for _, k := range kinds {
		if reason := k.want().reason; reason != "" {
			lines = append(lines, p.number(string(reason), s.reasons[reason], width))
		}
	}
	return p.frame(width, 0, lines)
}

// frame draws a box around lines; width is that of text and padding, height that of the whole box, 0 for as needed.
func (p painter) frame(width, height int, lines []string) string {
	style := p.box.Width(width)
	if height > 2 {
		style = style.Height(height - 2)
	}
	return style.Render(strings.Join(lines, "\n"))
}

// head is a box's first line: what it counts, and how many a second.
func (p painter) head(name string, perSec float64, width int) string {
	return spread(p.bold.Render(name), p.faint.Render(fmt.Sprintf("%.0f/s", perSec)), width-2)
}

func (p painter) number(name string, n, width int) string {
	return spread(name, thousands(n), width-2)
}

// thousands groups digits by a space.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}

// breaker says in what state the breaker is and what that means.
func (p painter) breaker(s snapshot, width int) string {
	style, text := p.good, "calls go through"
	switch {
	case s.coolDown > 0:
		style, text = p.warn, "the CMS said 429: all calls pause "+seconds(s.coolDown)+" more"
	case s.breaker == cmsclient.BreakerOpen:
		style, text = p.bad, "consumption pauses; nothing is dead-lettered"
	case s.breaker == cmsclient.BreakerHalfOpen:
		style, text = p.warn, "one waiting request probes the CMS"
	}
	line := " breaker   " + style.Render("● "+strings.ToUpper(s.breaker.String())) + "  " + text
	if s.openFor == 0 {
		return line
	}
	return spread(line, p.faint.Render("open "+seconds(s.openFor)), width)
}

func (p painter) latency(s snapshot) string {
	if s.p50 == 0 {
		return p.faint.Render("no results in the last " + strconv.Itoa(int(latencyWindow/time.Second)) + " s")
	}
	return "p50 " + p.bold.Render(short(s.p50)) + "   p99 " + p.bold.Render(short(s.p99)) +
		p.faint.Render("   from request to result, last "+strconv.Itoa(int(latencyWindow/time.Second))+" s")
}

// acts is the programme: what was, is and comes.
func (p painter) acts(s snapshot, width int) string {
	var parts []string
	for i, act := range story {
		switch {
		case i < s.act:
			parts = append(parts, p.good.Render("✓ ")+p.faint.Render(act.name))
		case i == s.act:
			parts = append(parts, p.bold.Render("▶ "+act.name))
		default:
			parts = append(parts, p.faint.Render("· "+act.name))
		}
	}
	return spread(" "+strings.Join(parts, "  "), p.faint.Render("Ctrl-C ends"), width)
}
