package cmsclient

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Settings say how to reach the CMS and when to leave it alone: all that can be written down. DefaultSettings and Check
// are the one home of their defaults and limits.
type Settings struct {
	URL              string        // base address, http or https, may have a path; no query, no user info
	MinInFlight      int           // calls that adapting, slow start, 429 and retry budget leave; at most MaxInFlight
	MaxInFlight      int           // calls, and so connections, at the same time
	Adaptive         bool          // fewer calls at the same time while answers get slower
	SlowStart        time.Duration // from the breaker's closing to MaxInFlight; 0: at once
	Rate             float64       // calls per second; 0: no limit
	DailyQuota       int           // calls per UTC day; 0: no limit
	RetryShare       float64       // retries and hedges per first call; above 0, at most 10
	HedgeAfter       time.Duration // a call without an answer for so long gets a second one; below Timeout; 0: never
	Timeout          time.Duration // of one attempt, from waiting for a connection to the body's last byte
	MaxResponseBytes int64         // of a body
	Breaker          BreakerSettings
	CoolDown         time.Duration // pause after a 429 without Retry-After; doubles while they go on
	MaxCoolDown      time.Duration // the most it doubles to; Retry-After has its own limit, 5 minutes
	ProbeInterval    time.Duration // between two probes while halted
}

// BreakerSettings say when the circuit breaker opens and for how long.
type BreakerSettings struct {
	Window       time.Duration // calls that started longer ago do not count; at least twice Timeout
	MinCalls     int           // fewer finished calls in the window never open it
	FailureRatio float64       // failures among the finished calls; above 0, at most 1
	SlowCall     time.Duration // a call that takes longer is slow; below Timeout; 0: none is
	SlowRatio    float64       // slow calls among the finished ones; above 0, at most 1
	OpenTime     time.Duration // from opening to the first probe; doubles while probes fail
	MaxOpenTime  time.Duration // the most it doubles to
}

// Config is Settings and what code has to provide. Start from DefaultConfig.
type Config struct {
	Settings
	UserAgent string            // 1 to 256 ASCII characters
	FieldName FieldName         // nil: by their own names
	Auth      Authenticator     // proves to the CMS who calls, in every attempt again; nil: nothing does
	Decrypter Decrypter         // opens encrypted answers; nil: they stay closed
	TLS       *tls.Config       // authorities and client certificate; nil: the system's, and none
	Proxy     Proxy             // nil: HTTPS_PROXY, HTTP_PROXY and NO_PROXY
	Transport http.RoundTripper // makes the round trip; nil: a pooled HTTP/1.1 transport of the client's own
}

// FieldName returns what messages call a field of Config ("Breaker.Window", "TLS.RootCAs"), such as the key of a file
// that sets it.
type FieldName func(field string) string

func (n FieldName) of(field string) string {
	if n == nil {
		return field
	}
	return n(field)
}

// Authenticator adds to a request what proves who calls. It is the last to touch the request before the wire, once for
// every time that the request is sent.
type Authenticator interface{ Authenticate(r *http.Request) error }

// Decrypter opens a body that may be encrypted. It returns the body itself when it is not. An error that wraps
// jwe.ErrMalformed blames the body, every other one the keys.
type Decrypter interface {
	Decrypt(body []byte) (plain []byte, err error)
}

// Proxy chooses the proxy of a request, as http.Transport.Proxy does.
type Proxy func(*http.Request) (*url.URL, error)

// DefaultSettings returns the defaults; only the URL is missing.
func DefaultSettings() Settings {
	return Settings{
		MinInFlight:      8,
		MaxInFlight:      256,
		Adaptive:         true,
		SlowStart:        2 * time.Second,
		RetryShare:       0.2,
		Timeout:          5 * time.Second,
		MaxResponseBytes: 1 << 20,
		Breaker: BreakerSettings{
			Window:       10 * time.Second,
			MinCalls:     5,
			FailureRatio: 0.5,
			SlowRatio:    0.8,
			OpenTime:     time.Second,
			MaxOpenTime:  3 * time.Second,
		},
		CoolDown:      time.Second,
		MaxCoolDown:   time.Minute,
		ProbeInterval: 10 * time.Second,
	}
}

// DefaultConfig returns DefaultSettings and a user agent.
func DefaultConfig() Config { return Config{Settings: DefaultSettings(), UserAgent: "balanceq"} }

// Validate returns everything that is wrong, joined: a *FieldError each. None repeats an address, which may hold a
// password.
func (c Config) Validate() error {
	var errs []error
	for _, e := range c.Check(c.FieldName) {
		errs = append(errs, e)
	}
	if !visibleASCII(c.UserAgent, 256, true) {
		errs = append(errs, &FieldError{
			Field: "UserAgent", What: "is no header's value", Fix: "set 1 to 256 visible ASCII characters and spaces"})
	}
	return errors.Join(errs...)
}

// visibleASCII reports whether s can be a header's value: 1 to limit visible ASCII characters, and spaces where
// allowed.
func visibleASCII(s string, limit int, spaces bool) bool {
	for _, b := range []byte(s) {
		if allowed := b > ' ' && b <= '~' || b == ' ' && spaces; !allowed {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
