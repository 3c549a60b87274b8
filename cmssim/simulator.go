package cmssim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config sets a simulator up. The zero value answers at once, without limit, and records nothing.
type Config struct {
	Latency       time.Duration // added to every call
	Jitter        time.Duration // the latency of a call is uniform in Latency ± Jitter, never below 0
	Seed          uint64        // of jitter and percentages; 0: a random one
	MaxConcurrent int           // calls in flight above this get 429 with Retry-After: 1; 0: no limit
	Record        bool          // keep the latest calls for Calls and CallsByContract
	Verify        *Verify       // nil: signatures are not checked
	Encrypt       *Encrypt      // nil: answers are plain
	TLS           *tls.Config   // of Listen, which serves https with it; nil: http
	Log           *log.Logger   // of Listen: where failed TLS handshakes are reported; nil: nowhere
	ClockOffset   time.Duration // how far the simulator's clock is ahead: Date, Retry-After as a date, age of a signature
}

// Validate reports the first setting that is out of range and names it as cms-sim's flag.
func (c Config) Validate() error {
	switch {
	case c.Latency < 0 || c.Latency > maxDelay:
		return fmt.Errorf("latency: %v is not within 0 to 24h", c.Latency)
	case c.Jitter < 0 || c.Jitter > maxDelay:
		return fmt.Errorf("jitter: %v is not within 0 to 24h", c.Jitter)
	case c.MaxConcurrent < 0:
		return fmt.Errorf("max-concurrent: %d is negative; 0 means no limit", c.MaxConcurrent)
	case c.ClockOffset.Abs() > maxDelay:
		return fmt.Errorf("clock-offset: %v is not within -24h to 24h", c.ClockOffset)
	case c.TLS != nil && len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil && c.TLS.GetConfigForClient == nil:
		return errors.New("tls-cert-file: https takes a certificate and its key")
	}
	if _, err := newVerifier(c.Verify); err != nil {
		return err
	}
	_, err := newSealer(c.Encrypt)
	return err
}

// Simulator answers as the CMS does. It is an http.Handler for any server; Listen starts one with its own. All methods
// may be called at any time from any goroutine.
type Simulator struct {
	config   Config
	verifier *verifier // nil: signatures are not checked
	sealer   *sealer   // nil: answers are plain
	control  http.Handler
	counters counters
	recorder recorder
	faults   ruleList

	latency atomic.Pointer[latency]
	draws   atomic.Uint64 // random numbers drawn so far
	serial  atomic.Uint32 // of the last correlation id
	closed  chan struct{}
	close   sync.Once
}

// latency is one setting of both durations, so that a call never sees half of a change.
type latency struct{ base, jitter time.Duration }

// Values of headers, made once: net/http does not change them.
var (
	mediaJSON = []string{"application/json;charset=utf-8"}
	mediaHTML = []string{"text/html; charset=utf-8"}
	mediaText = []string{"text/plain; charset=utf-8"}
	allowGet  = []string{http.MethodGet}
	retryOne  = []string{"1"}
)

// bodies holds the buffers of answers, as *[]byte. The largest answer, all codes of an extreme contract, has 1.7 kB.
var bodies sync.Pool

// New returns a simulator. Times that Config.Validate refuses are brought into range. It panics on a Verify or Encrypt
// that Validate refuses: a simulator that lets everything pass would make a test green.
func New(config Config) *Simulator {
	if config.Seed == 0 {
		config.Seed = rand.Uint64()
	}
	verifier, err := newVerifier(config.Verify)
	if err != nil {
		panic(fmt.Sprintf("cmssim: invalid configuration: %v", err))
	}
	sealer, err := newSealer(config.Encrypt)
	if err != nil {
		panic(fmt.Sprintf("cmssim: invalid configuration: %v", err))
	}
	s := &Simulator{config: config, verifier: verifier, sealer: sealer, closed: make(chan struct{})}
	s.SetLatency(config.Latency, config.Jitter)
	s.control = s.controlRoutes()
	return s
}

// SetLatency changes the latency of the calls that arrive from now on, within 0 to 24h each.
func (s *Simulator) SetLatency(base, jitter time.Duration) {
	s.latency.Store(&latency{min(max(base, 0), maxDelay), min(max(jitter, 0), maxDelay)})
}

// Latency returns the latency and jitter in force.
func (s *Simulator) Latency() (base, jitter time.Duration) {
	l := s.latency.Load()
	return l.base, l.jitter
}

// Reset makes the simulator as new: no faults, latency as configured, counters and recorded calls empty, random numbers
// from the start, no nonce used. Calls in flight go on.
func (s *Simulator) Reset() {
	s.ClearFaults()
	s.SetLatency(s.config.Latency, s.config.Jitter)
	s.draws.Store(0)
	s.counters.reset()
	s.recorder.reset()
	if s.verifier != nil {
		s.verifier.nonces.reset()
	}
}

// Close cuts the connections of calls that wait or hang, now and from now on. Calls without delay are still answered.
func (s *Simulator) Close() { s.close.Do(func() { close(s.closed) }) }

// ServeHTTP answers control requests below /_sim and simulates everything else.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, controlPath); ok && (rest == "" || rest[0] == '/') {
		s.control.ServeHTTP(w, r)
		return
	}
	s.serveCall(w, r)
}

// serveCall takes one call through the stages that the package comment lists.
func (s *Simulator) serveCall(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	inFlight := s.counters.begin(now)
	defer s.counters.inFlight.Add(-1)

	contractID := contractOf(r)
	c := call{sim: s, w: w, r: r, arrived: now}
	if s.config.Record && contractID != 0 {
		c.record = s.record(contractID, now, r)
	}
	if s.verifier != nil && !c.verified() {
		return
	}
	if s.config.MaxConcurrent > 0 && inFlight > int64(s.config.MaxConcurrent) {
		w.Header()["Retry-After"] = retryOne
		c.answer(http.StatusTooManyRequests, mediaJSON, errTooMany.append(nil))
		return
	}

	delay := s.drawLatency()
	fault, active := s.faults.take(contractID, now, s.draw)
	if active {
		s.counters.duringFaults.Add(1)
	}
	if fault != nil {
		s.counters.faulted.Add(1)
		delay += fault.fault.Delay
	}
	if !s.wait(r.Context(), delay) {
		c.abandon()
		return
	}
	if fault != nil {
		c.suffer(fault)
		return
	}
	c.answerAsCMS()
}

// clock returns the time on the simulator's own clock.
func (s *Simulator) clock() time.Time { return time.Now().Add(s.config.ClockOffset) }

// contractOf returns the contract that a call is about, 0 if it names none.
func contractOf(r *http.Request) int64 {
	part, ok := contractPart(r.URL.Path)
	if !ok {
		return 0
	}
	contractID, ok := parseContractID(part)
	if !ok {
		return 0
	}
	return contractID
}

func (s *Simulator) record(contractID int64, now time.Time, r *http.Request) *Call {
	codes, err := parseCodes(nil, r.URL.RawQuery)
	if err != nil {
		codes = nil
	}
	c := &Call{ContractID: contractID, Time: now, Codes: codes, CorrelationID: r.Header.Get("Correlation-Id"),
		Traceparents: r.Header["Traceparent"]}
	s.recorder.add(c)
	return c
}

// wait returns true after d, or false if the client gave up or the simulator was closed before.
func (s *Simulator) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.closed:
		return false
	}
}

func (s *Simulator) drawLatency() time.Duration {
	l := s.latency.Load()
	if l.jitter == 0 {
		return l.base
	}
	width := 2*uint64(l.jitter) + 1
	return max(0, l.base-l.jitter+time.Duration(s.draw()%width))
}

// draw returns the next random number of the seed's sequence, without a lock.
func (s *Simulator) draw() uint64 { return mix(s.config.Seed + s.draws.Add(1)) }

// correlationID looks like those of Mastercard's edge ("0.c63e1202.1779961183.8c33327b"): opaque, no UUID. An odd
// factor permutes the 32-bit numbers, so ids differ until four billion calls have been answered.
func (s *Simulator) correlationID(now time.Time) string {
	var room [40]byte
	b := append(room[:0], "0."...)
	b = appendHex8(b, uint32(s.config.Seed))
	b = append(b, '.')
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, '.')
	b = appendHex8(b, s.serial.Add(1)*0x9e3779b1)
	return string(b)
}

func appendHex8(dst []byte, v uint32) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}
