package cmsclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Config says how to reach the CMS and when to leave it alone. Start from DefaultConfig; Validate names the keys.
type Config struct {
	URL              string        // cms.url: base address, http or https, may have a path; no query, no user info
	MinInFlight      int           // cms.min-in-flight: what adapting and slow start never go below; MaxInFlight if that is less
	MaxInFlight      int           // cms.max-in-flight: calls, and so connections, at the same time
	Adaptive         bool          // cms.adaptive: fewer calls at the same time while answers get slower
	SlowStart        time.Duration // cms.slow-start: from the breaker's closing to MaxInFlight; 0: at once
	Rate             float64       // cms.rate: calls per second; 0: no limit
	DailyQuota       int           // cms.daily-quota: calls per UTC day; 0: no limit
	RetryShare       float64       // cms.retry-share: retries and hedges per first call, above 0
	HedgeAfter       time.Duration // cms.hedge-after: a call without an answer for so long gets a second one; 0: never
	Timeout          time.Duration // cms.timeout: one attempt, from waiting for a connection to the body's last byte
	MaxResponseBytes int64         // cms.max-response-bytes: of a body
	Breaker          BreakerConfig
	CoolDown         time.Duration     // cms.cool-down: pause after a 429 without Retry-After; doubles while they go on
	MaxCoolDown      time.Duration     // cms.max-cool-down: the most it doubles to; Retry-After has its own limit, 5 minutes
	ProbeInterval    time.Duration     // cms.probe-interval: between two probes while halted
	UserAgent        string            // cms.user-agent
	Auth             Authenticator     // proves who we are, in every attempt anew; nil: nothing does
	Decrypter        Decrypter         // opens encrypted answers; nil: they stay closed
	TLS              *tls.Config       // authorities and client certificate; nil: the system's, and none
	Proxy            Proxy             // nil: HTTPS_PROXY, HTTP_PROXY and NO_PROXY
	Transport        http.RoundTripper // makes the round trip; nil: a pooled HTTP/1.1 transport of the client's own
}

// Authenticator adds to a request what proves who we are. It is the last to touch the request before the wire, once for
// every time that the request is sent.
type Authenticator interface{ Authenticate(r *http.Request) error }

// Decrypter opens a body that may be encrypted. It returns the body itself when it is not. An error that wraps
// jwe.ErrMalformed blames the body, every other one our keys.
type Decrypter interface {
	Decrypt(body []byte) (plain []byte, err error)
}

// Proxy chooses the proxy of a request, as http.Transport.Proxy does.
type Proxy func(*http.Request) (*url.URL, error)

// BreakerConfig says when the circuit breaker opens and for how long.
type BreakerConfig struct {
	Window       time.Duration // cms.breaker.window: calls that started longer ago do not count
	OpenTime     time.Duration // cms.breaker.open-time: from opening to the first probe; doubles while probes fail
	MaxOpenTime  time.Duration // cms.breaker.max-open-time: the most it doubles to
	SlowCall     time.Duration // cms.breaker.slow-call: a call that takes longer is slow; 0: none is
	SlowRatio    float64       // cms.breaker.slow-ratio: above 0, at most 1; slow calls among the finished ones
	MinCalls     uint32        // cms.breaker.min-calls: fewer finished calls in the window never open it
	FailureRatio float64       // cms.breaker.failure-ratio: above 0, at most 1; failures among the finished calls
}

// DefaultConfig returns the defaults; only the URL is missing.
func DefaultConfig() Config {
	return Config{
		MinInFlight:      8,
		MaxInFlight:      256,
		Adaptive:         true,
		SlowStart:        2 * time.Second,
		RetryShare:       0.2,
		Timeout:          5 * time.Second,
		MaxResponseBytes: 1 << 20,
		Breaker: BreakerConfig{
			Window:       30 * time.Second,
			OpenTime:     time.Second,
			MaxOpenTime:  3 * time.Second,
			SlowRatio:    0.8,
			MinCalls:     20,
			FailureRatio: 0.5,
		},
		CoolDown:      time.Second,
		MaxCoolDown:   time.Minute,
		ProbeInterval: 30 * time.Second,
		UserAgent:     "balanceq",
	}
}

// Validate returns everything that is wrong, joined; each error names its key and how to mend it, and repeats no address.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if _, err := c.baseURL(); err != nil {
		errs = append(errs, err)
	}
	check(c.MaxInFlight >= 1, "cms.max-in-flight is %d: set at least 1", c.MaxInFlight)
	check(c.MinInFlight >= 1, "cms.min-in-flight is %d: set at least 1", c.MinInFlight)
	check(c.SlowStart >= 0, "cms.slow-start is %v: set 0s or more", c.SlowStart)
	check(c.Rate >= 0, "cms.rate is %v: set calls per second, or 0 for no limit", c.Rate)
	check(c.DailyQuota >= 0, "cms.daily-quota is %d: set calls per day, or 0 for no limit", c.DailyQuota)
	check(c.RetryShare > 0, "cms.retry-share is %v: set above 0", c.RetryShare)
	check(c.HedgeAfter >= 0, "cms.hedge-after is %v: set 0s or more", c.HedgeAfter)
	check(c.Timeout >= time.Millisecond, "cms.timeout is %v: set at least 1ms", c.Timeout)
	check(c.MaxResponseBytes >= 1024, "cms.max-response-bytes is %d: set at least 1024", c.MaxResponseBytes)

	b := c.Breaker
	// The breaker counts a call in the part of the window in which it started. A window shorter than the calls would forget
	// the timeouts before they are reported, and never open.
	check(b.Window >= 2*c.Timeout && b.Window >= minWindow,
		"cms.breaker.window is %v: set at least twice cms.timeout (%v) and %v", b.Window, c.Timeout, minWindow)
	check(b.OpenTime >= time.Millisecond, "cms.breaker.open-time is %v: set at least 1ms", b.OpenTime)
	check(b.MaxOpenTime >= b.OpenTime, "cms.breaker.max-open-time is %v: set at least cms.breaker.open-time (%v)", b.MaxOpenTime, b.OpenTime)
	check(b.SlowCall >= 0, "cms.breaker.slow-call is %v: set 0s or more", b.SlowCall)
	check(b.SlowCall == 0 || b.SlowRatio > 0 && b.SlowRatio <= 1, "cms.breaker.slow-ratio is %v: set above 0, at most 1", b.SlowRatio)
	check(b.MinCalls >= 1, "cms.breaker.min-calls is 0: set at least 1")
	check(b.FailureRatio > 0 && b.FailureRatio <= 1, "cms.breaker.failure-ratio is %v: set above 0, at most 1", b.FailureRatio)

	check(c.CoolDown >= time.Millisecond, "cms.cool-down is %v: set at least 1ms", c.CoolDown)
	check(c.MaxCoolDown >= c.CoolDown, "cms.max-cool-down is %v: set at least cms.cool-down (%v)", c.MaxCoolDown, c.CoolDown)
	check(c.ProbeInterval >= time.Millisecond, "cms.probe-interval is %v: set at least 1ms", c.ProbeInterval)
	check(visibleASCII(c.UserAgent, 256, true), "cms.user-agent: set 1 to 256 ASCII characters")
	return errors.Join(errs...)
}

// baseURL parses the URL. Its errors do not quote it: a mistyped address may hold a password.
func (c Config) baseURL() (*url.URL, error) {
	if c.URL == "" {
		return nil, errors.New("cms.url is not set: give the base address of the CMS, " +
			"for example https://sandbox.api.mastercard.com/global-processing/core")
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return nil, errors.New("cms.url is not a URL: give the base address of the CMS, like https://host/path")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("cms.url must start with https:// or http://")
	case u.Hostname() == "":
		return nil, errors.New("cms.url has no host: give the base address of the CMS, like https://host/path")
	case u.User != nil:
		return nil, errors.New("cms.url must not hold a user name or password: remove what is before the @")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("cms.url must not have a query or a fragment: remove what follows ? or #")
	}
	return u, nil
}

// visibleASCII reports whether s can be a header's value: 1 to limit visible ASCII characters, and spaces where allowed.
func visibleASCII(s string, limit int, spaces bool) bool {
	for _, b := range []byte(s) {
		if allowed := b > ' ' && b <= '~' || b == ' ' && spaces; !allowed {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
