package telemetry

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/printable"
)

// pageStyle is the page's whole style; its digest is the one exception of the page's policy.
const pageStyle = `:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;` +
	`margin:2rem auto;padding:0 1rem}table{border-collapse:collapse}th{text-align:left;vertical-align:top;padding-right:2rem;` +
	`white-space:nowrap}td{overflow-wrap:anywhere}`

var pagePolicy = func() string {
	digest := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// fact is a line of the page.
type fact struct{ Name, Text string }

// paths are what Probes serves besides its page.
var paths = []fact{
	{"/readyz", "is it ready, and what does it wait for (JSON)"},
	{"/livez", "does it move, or have a reason not to"},
	{"/metrics", "for Prometheus"},
	{"/status", "the whole state (JSON): balanceq status shows that of all instances"},
}

// page says what there is and how it goes, to people: as text, or as HTML where that is asked for. Nothing of a request
// is on it.
func (p Probes) page(w http.ResponseWriter, r *http.Request) {
	h, now := p.Sources.health(p.Watchdog.State()), time.Now()
	v := view{p.About.Instance, h.sentence(), p.facts(h, now), "Resume and profiles are at " + p.admin() + "."}
	w.Header().Add("Vary", "Accept")
	var b bytes.Buffer
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", pagePolicy)
		v.writeHTML(&b)
	} else {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		v.writeText(&b)
	}
	_, _ = w.Write(b.Bytes()) // the client has gone: there is nothing to do
}

// view is what the page shows.
type view struct {
	instance, state string
	facts           []fact
	admin           string
}

func (v view) writeText(b *bytes.Buffer) {
	fmt.Fprintf(b, "balanceq %s\n\n", v.instance)
	for _, f := range v.facts {
		fmt.Fprintf(b, "%-12s %s\n", f.Name, f.Text)
	}
	b.WriteByte('\n')
	for _, f := range paths {
		fmt.Fprintf(b, "%-12s %s\n", f.Name, f.Text)
	}
	fmt.Fprintf(b, "\n%s\n", v.admin)
}

// writeHTML puts text into elements only, where escaping is enough, and so needs no html/template: that reaches
// methods by name, and the linker would have to keep every exported method of the program (4 MB).
func (v view) writeHTML(b *bytes.Buffer) {
	put := func(format string, texts ...string) {
		escaped := make([]any, len(texts))
		for i, text := range texts {
			escaped[i] = html.EscapeString(text)
		}
		fmt.Fprintf(b, format, escaped...)
	}
	b.WriteString(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>` + pageStyle + "</style>\n")
	put("<title>balanceq %s: %s</title></head>\n<body><main><h1>balanceq %[1]s</h1>\n<table>", v.instance, v.state)
	for _, f := range v.facts {
		put("<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", f.Name, f.Text)
	}
	b.WriteString("</table>\n<h2>Here</h2><ul>\n")
	for _, f := range paths { // constants, also in the attribute
		put("<li><a href=\"%s\">%[1]s</a>: %s</li>\n", f.Name, f.Text)
	}
	put("</ul><p>%s</p></main></body></html>\n", v.admin)
}

func (p Probes) facts(h Health, now time.Time) []fact {
	var held []string
	for _, part := range p.Sources.Consumer().Partitions {
		held = append(held, strconv.Itoa(int(part.Partition)))
	}
	partitions := strconv.Itoa(len(held))
	if len(held) > 0 {
		partitions += " (" + strings.Join(held, ", ") + ")"
	}
	return append(append([]fact{{"state", h.sentence()}}, h.faults()...),
		fact{"breaker", h.Breaker.String()},
		fact{"partitions", partitions},
		fact{"lag", strconv.FormatInt(h.Lag, 10) + " records"},
		fact{"in flight", strconv.Itoa(h.InFlight)},
		fact{"version", p.About.Version},
		fact{"up", fmt.Sprintf("%s, since %s", now.Sub(p.About.Started).Round(time.Second),
			p.About.Started.UTC().Format(time.RFC3339))})
}

// sentence is the state in a few words.
func (h Health) sentence() string {
	switch {
	case !h.Ready:
		return "not ready: " + h.Why
	case h.Waiting != "":
		return "ready, and waits: " + h.Waiting
	}
	return "ready"
}

// faults are the texts of what is wrong, worst first, by what they are about.
func (h Health) faults() (all []fact) {
	for _, f := range []fact{
		{"halted", h.Halted}, {"paused", h.Paused}, {"failing", h.Failing.String()}, {"kafka", h.KafkaFailing},
		{"not started", h.NotStarted}, {"corrupt", h.Corrupt}, {"transaction", h.Transaction}, {"keys", h.KeysFailing},
		{"Kafka token", h.TokenFailing},
	} {
		if f.Text != "" {
			f.Text = printable.Text(f.Text) // also on a terminal
			all = append(all, f)
		}
	}
	return all
}
