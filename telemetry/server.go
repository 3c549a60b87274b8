package telemetry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

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
	Failing       cmsclient.Failing `json:"failing,omitzero"`
	CoolDownUntil *time.Time        `json:"coolDownUntil,omitempty"`
	// whose files cannot be used, while the keys before them are in force
	KeysFailing string `json:"keysFailing,omitempty"`
	// why no new token for Kafka can be had, and until when the one before it is good
	TokenFailing  string `json:"tokenFailing,omitempty"`
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
		h.WritesFailing = fmt.Sprintf("for %s: %v", p.Since.Round(time.Second), withFix(p.Failing))
	}
	for _, k := range s.Keys() {
		if k.Failing != nil {
			h.KeysFailing = k.Failing.Error()
		}
	}
	if token, used := s.KafkaToken(); used && token.Failing != nil {
		h.TokenFailing = token.Failing.Error()
		if !token.Expires.IsZero() {
			h.TokenFailing += "; the last one expires " + token.Expires.UTC().Format(time.RFC3339)
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

// Server is an HTTP server of the instance.
type Server struct {
	http     *http.Server
	listener net.Listener
	scheme   string
}

// What a client may take, however slow it is: of headers, of time for them, for a whole request, and between two.
const (
	maxHeaders    = 16 << 10
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = maxProfile + 30*time.Second // a profile is written when it has been taken
	idleTimeout   = time.Minute
)

// Listen binds the address, so that a port that is taken is an error at start and not a line in the log. security is
// nil for plain HTTP. What net/http says of clients that misbehave goes to the log, at level debug.
func Listen(address string, handler http.Handler, security *tls.Config, logger zerolog.Logger) (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	s := newServer(l, handler, logger)
	if security != nil {
		s.listener, s.scheme = tls.NewListener(l, security), "https"
	}
	return s, nil
}

func newServer(l net.Listener, handler http.Handler, logger zerolog.Logger) *Server {
	return &Server{listener: l, scheme: "http", http: &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeaders, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, ErrorLog: log.New(complaints{logger}, "", 0),
		ConnState: newCrowd().changed,
	}}
}

// complaints is where net/http says what it thinks of clients.
type complaints struct{ log zerolog.Logger }

// Write implements io.Writer.
func (c complaints) Write(text []byte) (int, error) {
	c.log.Debug().Bytes("said", bytes.TrimSpace(text)).Msg("a client of the HTTP server")
	return len(text), nil
}

// Addr is the address that is listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the base URL by which this machine asks the server.
func (s *Server) URL() string { return s.scheme + "://" + s.Addr() }

// Serve blocks until Shutdown.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", s.Addr(), err)
	}
	return nil
}

// Shutdown ends Serve.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }
