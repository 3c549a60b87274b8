package telemetry

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Probes is what may be asked without a login: /livez, /readyz, /metrics, /status, and what there is on /. It acts on
// nothing, and tells nothing of a request.
type Probes struct {
	Hosts    Hosts
	Metrics  prometheus.Gatherer
	Sources  Sources
	Watchdog *Watchdog
	About    About
	Admin    string // the base URL of Admin; "": it is not served
	Setting  string // that says where Admin is served
}

// Handler serves it.
func (p Probes) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(distinct{p.Metrics}, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /livez", p.livez)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h := p.Sources.health(p.Watchdog.State())
		writeJSON(w, h.Ready, h)
	})
	mux.HandleFunc("GET /status", p.status)
	mux.HandleFunc("GET /{$}", p.page)
	for _, path := range []string{"/resume", "/debug/"} {
		mux.HandleFunc(path, p.elsewhere)
	}
	return guard{p.Hosts, mux}
}

func (p Probes) livez(w http.ResponseWriter, _ *http.Request) {
	v := p.Watchdog.State()
	if v.Stuck == nil {
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	dump := ""
	if p.Admin != "" {
		dump = p.Admin + goroutines
	}
	writeJSON(w, false, struct {
		*Stuck
		Goroutines string `json:"goroutines,omitempty"` // where to get a dump of them
	}{v.Stuck, dump})
}

// elsewhere answers what used to be here.
func (p Probes) elsewhere(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "not here, but at "+p.admin(), http.StatusNotFound)
}

// admin says where Admin is served.
func (p Probes) admin() string {
	if p.Admin == "" {
		return p.Setting + ", which is off"
	}
	return p.Setting + ", " + p.Admin
}

func writeJSON(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the client has gone: there is nothing to do
}
