package cmsclient

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/cmsclient/jwe"
	"github.com/balanceq/balanceq/internal/wait"
)

// Class says what a failed call means. The set is closed.
type Class string

// The classes.
const (
	// Rejected: the CMS itself says that the request is wrong (400). Asking again cannot help.
	Rejected Class = "rejected"
	// ContractNotFound: the CMS itself says that there is no such contract (404 CONTRACT_DOES_NOT_EXIST).
	ContractNotFound Class = "contract-not-found"
	// Transient: no complete answer came (network, timeout, cut short), or 408 or 5xx. Asking again may help.
	Transient Class = "transient"
	// Throttled: 429.
	Throttled Class = "throttled"
	// Halting: the client is refused for something that no request can be blamed for: keys, entitlement, address, a
	// redirect.
	Halting Class = "halting"
	// Undecryptable: an answer that no key at hand opens. No request can be blamed for it.
	Undecryptable Class = "undecryptable"
	// Undecodable: a complete 2xx whose body breaks the contract or is over the size limit. Also a 400 or 404 whose body
	// is coded in a way that is not read: it could have said anything.
	Undecodable Class = "undecodable"
)

// Error is a failed call. Its texts are safe to log and to publish: bounded, valid UTF-8, without addresses and
// secrets.
type Error struct {
	Class            Class
	Status           int           // HTTP status; 0: no answer came
	Source           string        // of the CMS's error body: "Gateway" or "MASTERCARD PROCESSING"; "": none
	ReasonCode       string        // the same
	Description      string        // the same, redacted, at most 512 bytes
	RetryAfter       time.Duration // the CMS's wish, at most 5 minutes; 0: none
	CorrelationID    string        // the Correlation-Id that was sent
	CMSCorrelationID string        // X-MC-Correlation-ID; "": none
	Err              error         // the cause, where no error body tells it; may be nil
	Fix              string        // how to fix what no request can be blamed for, with the fields to look at; "": nothing
}

// Error returns one line: what happened and how to fix it. The correlation ids are not in it.
func (e *Error) Error() string {
	text := "cms: " + string(e.Class)
	if e.Status != 0 {
		text += ", status " + e.statusLine()
	}
	return text + e.explanation()
}

// Detail is Error for one request's dead letter. It has a reason of its own, so the class is left out: it would say the
// same once more, or halting where nothing halts and only this request is refused.
func (e *Error) Detail() string {
	explanation := e.explanation()
	switch {
	case e.Status == 0:
		return "the call to the CMS failed" + explanation
	case explanation == "" && e.ReasonCode == "":
		explanation = ": the answer does not say why"
	case e.Class == Undecodable:
		explanation = " with a body that cannot be used" + explanation
	}
	return "HTTP " + e.statusLine() + explanation
}

// statusLine is like "404 CONTRACT_DOES_NOT_EXIST from MASTERCARD PROCESSING".
func (e *Error) statusLine() string {
	line := strconv.Itoa(e.Status)
	if e.ReasonCode != "" {
		line += " " + e.ReasonCode
	}
	if e.Source != "" {
		line += " from " + e.Source
	}
	return line
}

// explanation is like ": Contract with id 99999 not found; check …".
func (e *Error) explanation() string {
	var b strings.Builder
	if e.Description != "" {
		b.WriteString(": " + strings.TrimSuffix(e.Description, "."))
	}
	if e.Err != nil {
		b.WriteString(": " + redact(e.Err.Error(), maxDescription))
	}
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// Unwrap returns the cause. It never is a context error: a timeout of the attempt is the CMS's, not the caller's.
func (e *Error) Unwrap() error { return e.Err }

func newError(class Class, resp *http.Response) *Error {
	return &Error{
		Class:            class,
		Status:           resp.StatusCode,
		RetryAfter:       retryAfter(resp.Header, time.Now()),
		CMSCorrelationID: cmsCorrelationID(resp.Header),
	}
}

// refused translates an answer that is not a 2xx.
func (c *Client) refused(ctx context.Context, resp *http.Response, b *body, readErr error) error {
	if readErr != nil && wait.Ended(ctx) != nil {
		return wait.Ended(ctx)
	}
	if readErr != nil && !errors.Is(readErr, errTooLarge) && bodyDecides(resp.StatusCode) {
		// What was cut off could have said that the request is to blame. Ask again.
		return c.incomplete(ctx, resp, readErr)
	}
	var cms cmsError
	known := false
	page := b.buffer.Bytes()
	if readErr == nil {
		cms, known = decodeErrors(b.decoder(lenient...))
	}
	return c.refusedWith(resp, cms, known, page)
}

// undecrypted translates an answer whose body stayed closed; err is the Decrypter's. A body that is to blame itself is
// no more than one that cannot be read. One that no key at hand opens could have said anything where the body decides;
// elsewhere the status does.
func (c *Client) undecrypted(resp *http.Response, err error) *Error {
	malformed, success := errors.Is(err, jwe.ErrMalformed), resp.StatusCode/100 == 2
	var e *Error
	switch {
	case malformed && success:
		e = newError(Undecodable, resp)
	case success || !malformed && bodyDecides(resp.StatusCode):
		e = newError(Undecryptable, resp)
		e.Fix = fixDecryption.text(c.cfg.FieldName)
	default:
		return c.refusedWith(resp, cmsError{}, false, nil)
	}
	e.Err = err
	return e
}

// refusedWith translates an answer that is not a 2xx by its status and error body, if that is known to be one.
func (c *Client) refusedWith(resp *http.Response, cms cmsError, known bool, page []byte) *Error {
	e := newError(classify(resp.StatusCode, cms, known), resp)
	e.Source, e.ReasonCode, e.Description = cms.Source, cms.ReasonCode, cms.Description
	if e.Class == Halting {
		e.Fix = adviceOn(resp.StatusCode, cms, page).text(c.cfg.FieldName)
	}
	return e
}

// bodyDecides says where it depends on the body whether the request is to blame.
func bodyDecides(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusNotFound
}

// classify is the one place that decides what a status means. known says whether there is an error body as the CMS and
// Mastercard's gateway write it. Its Recoverable member is ignored on purpose: it is optional, and Mastercard's own
// samples say false on a 429 and a 500.
//
// The rule for what is not listed: blame a request only when the CMS itself does. A dead letter for every request
// because of a proxy's 400 would be far worse than calls that wait until a person looks.
func classify(status int, cms cmsError, known bool) Class {
	fromCMS := known && !strings.EqualFold(cms.Source, "Gateway") && !refusesClient(cms.ReasonCode)
	switch {
	case status == http.StatusBadRequest && fromCMS:
		return Rejected
	case status == http.StatusNotFound && fromCMS && cms.ReasonCode == "CONTRACT_DOES_NOT_EXIST":
		return ContractNotFound
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusRequestTimeout, status >= 500:
		return Transient
	}
	return Halting
}

// maxRetryAfter bounds what the CMS may ask for.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads Retry-After, seconds or a date (RFC 9110 §10.2.3); 0: absent, unreadable or over. A date is compared
// with the wall clock, as it is one.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	if wait, ok := delaySeconds(value); ok {
		return wait
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// delaySeconds reads a number of seconds. There is no limit to it, so one that does not fit is very long; a fraction,
// which the standard does not know and some send, is rounded up.
func delaySeconds(value string) (wait time.Duration, ok bool) {
	whole, fraction, fractional := strings.Cut(value, ".")
	if !digits(whole) || fractional && !digits(fraction) {
		return 0, false
	}
	seconds, err := strconv.ParseUint(whole, 10, 32)
	if err != nil {
		return maxRetryAfter, true
	}
	wait = time.Duration(seconds) * time.Second
	if strings.Trim(fraction, "0") != "" {
		wait += time.Second
	}
	return min(wait, maxRetryAfter), true
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// callClass is the class for CallObserver.Called.
func callClass(status int, err error) string {
	if err != nil && (status == 0 || status/100 == 2) {
		return failureClass(err)
	}
	switch {
	case status == http.StatusTooManyRequests:
		return Call429
	case status/100 == 2:
		return Call2xx
	case status/100 == 3:
		return Call3xx
	case status/100 == 4:
		return Call4xx
	case status/100 == 5:
		return Call5xx
	}
	return CallOther
}

// failureClass is callClass where the status is not what went wrong.
func failureClass(err error) string {
	e, ok := errors.AsType[*Error](err)
	_, timeout := errors.AsType[*timeoutError](err)
	switch {
	case !ok:
		return CallCancelled
	case e.Class == Undecodable:
		return CallUndecodable
	case e.Class == Undecryptable:
		return CallUndecryptable
	case timeout:
		return CallTimeout
	}
	return CallNetwork
}
