package cmssim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// controlPath is where the control endpoint starts; no path of the Core API begins like it.
const controlPath = "/_sim"

const controlHelp = `CMS simulator, control endpoint

POST   /_sim/faults        add a fault: {"effect":"status","status":503,"count":20}, {"outage":"30s"}
GET    /_sim/faults        the faults in force
DELETE /_sim/faults[/{id}] end all faults, or one
GET    /_sim/latency       the latency in force
POST   /_sim/latency       {"latency":"20ms","jitter":"10ms"}
GET    /_sim/stats         counters; ?by=contract adds calls by contract
POST   /_sim/reset         no faults, counters at zero, latency as configured

A fault has an effect (status, delay, hang, reset, truncate, garbage), optionally
  "match":  {"contracts":[70001]} and one of {"every":10}, {"percent":5}
  "count":  ends after that many calls      "for": "30s" ends after that time
  "delay":  "2s" before the effect          "mode": length|chunked (truncate), html|shape (garbage)
  "status", "retryAfter" (seconds), "retryAfterDate" (true: written as a date), "body", or "source", "reasonCode" and
  "description" of the error
`

// controlRoutes serves what doc.go lists. Errors are {"error": …, "field": …} with the member that is wrong.
func (s *Simulator) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+controlPath+"/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = mediaText
		_, _ = w.Write([]byte(controlHelp))
	})
	mux.HandleFunc("GET "+controlPath+"/faults", s.listFaults)
	mux.HandleFunc("POST "+controlPath+"/faults", s.postFault)
	mux.HandleFunc("DELETE "+controlPath+"/faults", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]int{"removed": s.ClearFaults()})
	})
	mux.HandleFunc("DELETE "+controlPath+"/faults/{id}", s.deleteFault)
	mux.HandleFunc("GET "+controlPath+"/latency", func(w http.ResponseWriter, _ *http.Request) { s.replyLatency(w) })
	mux.HandleFunc("POST "+controlPath+"/latency", s.postLatency)
	mux.HandleFunc("GET "+controlPath+"/stats", s.getStats)
	mux.HandleFunc("POST "+controlPath+"/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		reply(w, http.StatusOK, s.Stats())
	})
	return mux
}

func (s *Simulator) postFault(w http.ResponseWriter, r *http.Request) {
	var in faultJSON
	if !readControl(w, r, &in) {
		return
	}
	f, err := in.fault()
	if err != nil {
		refuse(w, err)
		return
	}
	id := s.AddFault(f)
	out := describe(f)
	out.ID = id
	reply(w, http.StatusCreated, out)
}

func (s *Simulator) listFaults(w http.ResponseWriter, _ *http.Request) {
	states := s.Faults()
	out := make([]faultJSON, 0, len(states))
	for _, state := range states {
		f := describe(state.Fault)
		f.ID = state.ID
		f.State = &stateJSON{Taken: state.Taken, Remaining: state.Remaining}
		if state.EndsIn > 0 {
			f.State.EndsIn = state.EndsIn.Round(time.Millisecond).String()
		}
		out = append(out, f)
	}
	reply(w, http.StatusOK, map[string][]faultJSON{"faults": out})
}

func (s *Simulator) deleteFault(w http.ResponseWriter, r *http.Request) {
	if !s.RemoveFault(r.PathValue("id")) {
		reply(w, http.StatusNotFound, controlError{Error: "no fault of that id is in force; GET /_sim/faults lists them"})
		return
	}
	reply(w, http.StatusOK, map[string]int{"removed": 1})
}

func (s *Simulator) postLatency(w http.ResponseWriter, r *http.Request) {
	var in latencyJSON
	if !readControl(w, r, &in) {
		return
	}
	if err := in.validate(); err != nil {
		refuse(w, err)
		return
	}
	jitter := time.Duration(0)
	if in.Jitter != nil {
		jitter = time.Duration(*in.Jitter)
	}
	s.SetLatency(time.Duration(*in.Latency), jitter)
	s.replyLatency(w)
}

func (s *Simulator) replyLatency(w http.ResponseWriter) {
	base, jitter := s.Latency()
	reply(w, http.StatusOK, latencyJSON{Latency: (*duration)(&base), Jitter: (*duration)(&jitter)})
}

func (s *Simulator) getStats(w http.ResponseWriter, r *http.Request) {
	stats := s.Stats()
	switch by := r.URL.Query().Get("by"); by {
	case "":
	case "contract":
		if !s.config.Record {
			refuse(w, &faultError{"by", "calls are not recorded; start the simulator with --record"})
			return
		}
		stats.ByContract = s.CallsByContract()
	default:
		refuse(w, &faultError{"by", fmt.Sprintf("%q is not known; the only value is contract", by)})
		return
	}
	reply(w, http.StatusOK, stats)
}

// reply sends v as JSON. encoding/json is enough here: nothing is read with it, and no call of the CMS passes it.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // cannot happen with the types above
		http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
		return
	}
	w.Header()["Content-Type"] = mediaJSON
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
