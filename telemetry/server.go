package telemetry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
)

// Health is what /readyz says. Waiting for the CMS or an operator is ready: a restart could not fix it.
type Health struct {
	Ready   bool   `json:"ready"`
	Why     string `json:"why,omitempty"`     // why not ready
	Waiting string `json:"waiting,omitempty"` // State.Waiting: what requests wait for
	Halted  string `json:"halted,omitempty"`  // what to fix
	// what has spent the dead-letter budget, and how to go on
	Paused  string                 `json:"paused,omitempty"`
	Breaker cmsclient.BreakerState `json:"breaker"`
	// while the breaker is not closed: how the CMS fails, and since when
	Failing       string     `json:"failing,omitempty"`
	CoolDownUntil *time.Time `json:"coolDownUntil,omitempty"`
	// whose files cannot be used, while the keys before them are in force
	KeysFailing   string `json:"keysFailing,omitempty"`
	WritesFailing string `json:"writesFailing,omitempty"`
	KafkaFailing  string `json:"kafkaFailing,omitempty"` // writes, commits, or that Kafka does not answer
	// which granted partitions have not begun, and why
	NotStarted string `json:"notStarted,omitempty"`
	// partitions that stand still because a batch cannot be read, and how to go on
	Corrupt string `json:"corrupt,omitempty"`
	// open for long, hiding requests behind it: where, and how to end it
	Transaction string `json:"transaction,omitempty"`
	Partitions  int    `json:"partitions"`
	InFlight    int    `json:"inFlight"`
	Lag         int64  `json:"lag"`
}

// health reads the snapshots.
func (s Sources) health(v State) Health {
	c, cms, p := s.Consumer(), s.CMS(), s.Producer()
	h := Health{
		Ready: c.Joined && v.Stuck == nil, Waiting: v.Waiting, Halted: cms.HaltedError, Paused: s.Budget().Why,
		Breaker: cms.Breaker, Failing: cms.Failing,
		NotStarted: notStarted(c.Starting), Partitions: len(c.Partitions), InFlight: c.InFlight,
	}
	switch {
	case v.Stuck != nil:
		h.Why = "stuck: " + v.Stuck.Reason
	case !h.Ready && h.NotStarted != "":
		h.Why = "it is not known yet where the partitions start"
	case !h.Ready:
		h.Why = "not a member of the consumer group at the moment"
	}
	if v.Kafka != nil {
		h.KafkaFailing = v.Kafka.Error()
	}
	if !cms.CoolDownUntil.IsZero() {
		h.CoolDownUntil = &cms.CoolDownUntil
	}
	if p.Failing != nil {
		h.WritesFailing = fmt.Sprintf("for %s: %v", p.Since.Round(time.Second), p.Failing)
	}
	for _, k := range s.Keys() {
		if k.Failing != nil {
			h.KeysFailing = k.Failing.Error()
		}
	}
	var open []string
	for _, part := range c.Partitions {
		h.Lag += part.Lag()
		if part.HeldUp.Long(time.Now()) {
			open = append(open,
				fmt.Sprintf("partition %d: a publisher's transaction, open since %s, hides %d offsets from %d on; "+
					"it ends by its transaction.timeout.ms as a rule; to abort one that hangs for longer: %s", part.Partition,
					part.HeldUp.Since.UTC().Format(time.RFC3339), part.End-part.HeldUp.From, part.HeldUp.From,
					part.HeldUp.Abort))
		}
		if broken := part.Corrupt; broken != nil {
			if h.Corrupt != "" {
				h.Corrupt += "; "
			}
			h.Corrupt += fmt.Sprintf("partition %d: offsets %d to %d cannot be read (%v); other partitions go on; "+
				"to go on without them: balanceq skip --partition %d --offset %d",
				part.Partition, broken.From, broken.To-1, broken.Err, part.Partition, broken.From)
		}
	}
	h.Transaction = strings.Join(open, "; ")
	return h
}

// notStarted names partitions on which work has not begun, by reason.
func notStarted(starting []consumer.StartStatus) string {
	var parts []string
	for len(starting) > 0 {
		first := starting[0]
		var ids []string
		rest := starting[:0:0]
		for _, s := range starting {
			if s.Reason != first.Reason {
				rest = append(rest, s)
				continue
			}
			ids = append(ids, strconv.Itoa(int(s.Partition)))
		}
		parts = append(parts, fmt.Sprintf("partition %s since %s: %s", strings.Join(ids, ", "),
			first.Since.UTC().Format(time.RFC3339), cmp.Or(first.Reason, "the brokers are being asked where to start")))
		starting = rest
	}
	return strings.Join(parts, "; ")
}

// Server serves /metrics, /livez, /readyz, POST /resume, and Go's profiles under /debug/pprof/.
type Server struct {
	http     *http.Server
	listener net.Listener
}

// idleTimeout ends connections on which nothing is asked.
const idleTimeout = time.Minute

// Listen binds the address, so that a port that is taken is an error at start and not a line in the log. resume does
// what POST /resume asks for, in the name of who. hosts are names by which the instance may be asked for more than
// openPaths, besides IP addresses and localhost.
func Listen(
	address string, hosts []string, reg prometheus.Gatherer, sources Sources, watchdog *Watchdog,
	resume func(who string) Resumption,
) (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serving metrics and probes: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		v := watchdog.State()
		if v.Stuck == nil {
			_, _ = w.Write([]byte("ok\n"))
			return
		}
		writeJSON(w, false, struct {
			*Stuck
			Goroutines string `json:"goroutines"` // where to get a dump of them
		}{v.Stuck, goroutines})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h := sources.health(watchdog.State())
		writeJSON(w, h.Ready, h)
	})
	mux.HandleFunc("POST /resume", resumeHandler(resume))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // goroutine dumps among them
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return &Server{listener: l, http: &http.Server{
		Handler: newGuard(hosts, mux), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: idleTimeout,
	}}, nil
}

// goroutines is where the server shows what every goroutine does.
const goroutines = "/debug/pprof/goroutine?debug=2"

func writeJSON(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the client has gone: there is nothing to do
}

// Addr is the address that is listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve blocks until Shutdown.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", s.Addr(), err)
	}
	return nil
}

// Shutdown ends Serve.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }
