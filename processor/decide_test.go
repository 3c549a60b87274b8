package processor

import (
	"testing"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"
)

var classes = []cmsclient.Class{
	cmsclient.Rejected, cmsclient.ContractNotFound, cmsclient.Transient, cmsclient.Throttled, cmsclient.Halting,
	cmsclient.Undecryptable, cmsclient.Undecodable,
}

// The table of what happens when. Attempts are "counted of 5".
func TestDecide(t *testing.T) {
	const closed, alone = true, false
	tests := map[string]struct {
		failure failure
		want    action
		reason  schemas.Reason
	}{
		"400": {failure{class: cmsclient.Rejected, counted: 1, maxAttempts: 5, breakerClosed: closed, shared: alone},
			deadLetter, schemas.ReasonRequestRejected},
		"400 by the probe that closes the breaker": {failure{class: cmsclient.Rejected, counted: 1, maxAttempts: 5,
			breakerClosed: !closed, shared: alone}, deadLetter, schemas.ReasonRequestRejected},
		"400, shared": {failure{class: cmsclient.Rejected, counted: 1, maxAttempts: 5,
			breakerClosed: closed, shared: !alone}, askAlone, ""},
		"400, shared, not closed": {failure{class: cmsclient.Rejected, counted: 1, maxAttempts: 5,
			breakerClosed: !closed, shared: !alone}, askAlone, ""},
		"404 of the CMS": {failure{class: cmsclient.ContractNotFound, counted: 1, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, deadLetter, schemas.ReasonContractNotFound},
		"404 of the CMS, shared": {failure{class: cmsclient.ContractNotFound, counted: 1, maxAttempts: 5,
			breakerClosed: closed, shared: !alone}, deadLetter, schemas.ReasonContractNotFound},
		"404, not closed": {failure{class: cmsclient.ContractNotFound, counted: 1, maxAttempts: 5,
			breakerClosed: !closed, shared: alone}, deadLetter, schemas.ReasonContractNotFound},
		"5xx, attempts left": {failure{class: cmsclient.Transient, counted: 4, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, retry, ""},
		"5xx, attempts left, share": {failure{class: cmsclient.Transient, counted: 4, maxAttempts: 5,
			breakerClosed: closed, shared: !alone}, retry, ""},
		"5xx, attempts used up": {failure{class: cmsclient.Transient, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, deadLetter, schemas.ReasonAttemptsExhausted},
		"5xx, used up, shared": {failure{class: cmsclient.Transient, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: !alone}, askAlone, ""},
		"5xx, used up, not closed": {failure{class: cmsclient.Transient, counted: 5, maxAttempts: 5,
			breakerClosed: !closed, shared: alone}, noVerdict, ""},
		"5xx, not closed": {failure{class: cmsclient.Transient, counted: 1, maxAttempts: 5,
			breakerClosed: !closed, shared: alone}, noVerdict, ""},
		"bad 2xx, attempts left": {failure{class: cmsclient.Undecodable, counted: 4, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, retry, ""},
		"bad 2xx, used up": {failure{class: cmsclient.Undecodable, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, deadLetter, schemas.ReasonUnexpectedResponse},
		"bad 2xx, used up, shared": {failure{class: cmsclient.Undecodable, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: !alone}, askAlone, ""},
		"bad 2xx, not closed": {failure{class: cmsclient.Undecodable, counted: 9, maxAttempts: 5,
			breakerClosed: !closed, shared: alone}, noVerdict, ""},
		"429": {failure{class: cmsclient.Throttled, counted: 1, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, noVerdict, ""},
		"429 for ever": {failure{class: cmsclient.Throttled, counted: 99, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, noVerdict, ""},
		"403": {failure{class: cmsclient.Halting, counted: 1, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, noVerdict, ""},
		"403, one attempt allowed": {failure{class: cmsclient.Halting, counted: 1, maxAttempts: 1,
			breakerClosed: closed, shared: alone}, noVerdict, ""},
		"403, used up, not closed": {failure{class: cmsclient.Halting, counted: 9, maxAttempts: 5,
			breakerClosed: !closed, shared: alone}, noVerdict, ""},
		"403 while all others are answered": {failure{class: cmsclient.Halting, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, deadLetter, schemas.ReasonRequestRejected},
		"the same, shared": {failure{class: cmsclient.Halting, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: !alone}, askAlone, ""},
		"no key": {failure{class: cmsclient.Undecryptable, counted: 1, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, noVerdict, ""},
		"no key, one attempt allowed": {failure{class: cmsclient.Undecryptable, counted: 1, maxAttempts: 1,
			breakerClosed: closed, shared: alone}, noVerdict, ""},
		"no key, attempts left": {failure{class: cmsclient.Undecryptable, counted: 4, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, noVerdict, ""},
		"no key, used up, not closed": {failure{class: cmsclient.Undecryptable, counted: 9, maxAttempts: 5,
			breakerClosed: !closed, shared: alone}, noVerdict, ""},
		"no key while others are answered": {failure{class: cmsclient.Undecryptable, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: alone}, deadLetter, schemas.ReasonUnexpectedResponse},
		"no key, the same, shared": {failure{class: cmsclient.Undecryptable, counted: 5, maxAttempts: 5,
			breakerClosed: closed, shared: !alone}, askAlone, ""},
		"a class from the future": {failure{class: "new", counted: 99, maxAttempts: 5, breakerClosed: closed, shared: alone},
			noVerdict, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, reason := decide(test.failure)
			if got != test.want || reason != test.reason {
				t.Errorf("decide(%+v) = %v %q, want %v %q", test.failure, got, reason, test.want, test.reason)
			}
		})
	}
}

func TestDecideInvariants(t *testing.T) {
	for _, class := range classes {
		for counted := range 8 {
			for maxAttempts := 1; maxAttempts < 8; maxAttempts++ {
				for flags := range 4 {
					f := failure{class: class, counted: counted, maxAttempts: maxAttempts, breakerClosed: flags&1 == 0,
						shared: flags&2 == 0}
					checkInvariants(t, f)
				}
			}
		}
	}
}

func checkInvariants(t *testing.T, f failure) {
	t.Helper()
	got, reason := decide(f)
	bad := func(rule string) { t.Errorf("decide(%+v) = %v %q: %s", f, got, reason, rule) }
	aboutTheData := f.class == cmsclient.ContractNotFound || f.class == cmsclient.Rejected
	if (got == deadLetter) != (reason != "") {
		bad("a reason goes with a dead letter, and only with that")
	}
	if got == deadLetter && !f.breakerClosed && !aboutTheData {
		bad("an outage dead-letters nothing")
	}
	if (got == deadLetter || got == askAlone) && f.class == cmsclient.Throttled {
		bad("429 is no fault of a request")
	}
	if got == deadLetter && f.shared && f.class != cmsclient.ContractNotFound {
		bad("who shares a call is not blamed for it")
	}
	if got == askAlone && !f.shared {
		bad("it is alone")
	}
	if got == deadLetter && !aboutTheData && f.counted < f.maxAttempts {
		bad("there are attempts left")
	}
	refused := f.class == cmsclient.Halting || f.class == cmsclient.Undecryptable
	if (got == deadLetter || got == askAlone) && refused && f.counted < 2 {
		bad("one refusal says nothing while no other was answered since")
	}
	if got == retry && (refused || f.class == cmsclient.Throttled) {
		bad("what stops all calls is no reason to ask for this one")
	}
	if got == noVerdict && aboutTheData {
		bad("the CMS has given its verdict")
	}
}
