package processor

import (
	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

// action is what to do with a request whose call failed.
type action int

const (
	noVerdict  action = iota // nothing was learned about the request: it stays in its lane until calls go through again
	retry                    // ask again after a pause: the CMS works, this call did not
	askAlone                 // the call was shared: ask for each request by itself before any is blamed
	deadLetter               // the request is answered by a dead letter
)

// failure is everything that the verdict on one request depends on.
type failure struct {
	class cmsclient.Class
	// counted is how many failed attempts count against the request, this one included. After the first one, an attempt
	// counts only when the CMS answered a call that was sent since the request's previous attempt failed: a request that
	// fails while no call is answered cannot be told from an outage, and no outage may turn into dead letters.
	counted       int
	maxAttempts   int
	breakerClosed bool // after this failure was reported to it
	shared        bool // the call asked for other requests too
	// chance is how likely a request is to be refused as often as this one was, given how many calls are refused.
	chance float64
	// gaveUp says that requests of this contract were given up of late for being refused, and that a call sent since this
	// one was answered.
	gaveUp bool
}

// decide is the one place where a failure becomes an outcome.
func decide(f failure) (action, schemas.Reason) {
	blame := func(reason schemas.Reason) (action, schemas.Reason) {
		if f.shared {
			return askAlone, ""
		}
		return deadLetter, reason
	}
	switch f.class {
	case cmsclient.ContractNotFound:
		return deadLetter, schemas.ReasonContractNotFound // the same for everyone who shared the call
	case cmsclient.Rejected:
		return blame(schemas.ReasonRequestRejected)
	case cmsclient.Transient, cmsclient.Undecodable:
		if !f.breakerClosed {
			return noVerdict, ""
		}
		if f.counted < f.maxAttempts {
			return retry, ""
		}
		if f.class == cmsclient.Undecodable {
			return blame(schemas.ReasonUnexpectedResponse)
		}
		return blame(schemas.ReasonAttemptsExhausted)
	case cmsclient.Throttled:
		return noVerdict, ""
	case cmsclient.Halting, cmsclient.Undecryptable:
		// Keys, entitlement, address: nothing in the data is wrong. Unless all others are answered again and again: then
		// it is this request that something on the way refuses, or its answer that no key opens, and it must not hold up its
		// partition for ever. The first failure is no such sign, however few attempts are allowed, unless those before it
		// were; nor are many where as many of all calls are refused.
		if !f.breakerClosed || !f.gaveUp && (f.counted < max(2, f.maxAttempts) || f.chance > maxChance) {
			return noVerdict, ""
		}
		if f.class == cmsclient.Undecryptable {
			return blame(schemas.ReasonUnexpectedResponse)
		}
		return blame(schemas.ReasonRequestRejected)
	}
	return noVerdict, ""
}
