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

// The table of what happens when: so many attempts count against the request, of so many that it has.
func TestDecide(t *testing.T) {
	const (
		closed, alone = true, false
		notFound      = schemas.ReasonContractNotFound
		rejected      = schemas.ReasonRequestRejected
		exhausted     = schemas.ReasonAttemptsExhausted
		unexpected    = schemas.ReasonUnexpectedResponse
	)
	tests := map[string]struct {
		class         cmsclient.Class
		counted, of   int
		breakerClosed bool
		shared        bool
		want          action
		reason        schemas.Reason
	}{
		"400": {cmsclient.Rejected, 1, 5, closed, alone, deadLetter, rejected},
		"400 by the probe that closes the breaker": {cmsclient.Rejected, 1, 5, !closed, alone, deadLetter, rejected},
		"400, shared":                       {cmsclient.Rejected, 1, 5, closed, !alone, askAlone, ""},
		"400, shared, not closed":           {cmsclient.Rejected, 1, 5, !closed, !alone, askAlone, ""},
		"404 of the CMS":                    {cmsclient.ContractNotFound, 1, 5, closed, alone, deadLetter, notFound},
		"404 of the CMS, shared":            {cmsclient.ContractNotFound, 1, 5, closed, !alone, deadLetter, notFound},
		"404, not closed":                   {cmsclient.ContractNotFound, 1, 5, !closed, alone, deadLetter, notFound},
		"5xx, attempts left":                {cmsclient.Transient, 4, 5, closed, alone, retry, ""},
		"5xx, attempts left, share":         {cmsclient.Transient, 4, 5, closed, !alone, retry, ""},
		"5xx, attempts used up":             {cmsclient.Transient, 5, 5, closed, alone, deadLetter, exhausted},
		"5xx, used up, shared":              {cmsclient.Transient, 5, 5, closed, !alone, askAlone, ""},
		"5xx, used up, not closed":          {cmsclient.Transient, 5, 5, !closed, alone, noVerdict, ""},
		"5xx, not closed":                   {cmsclient.Transient, 1, 5, !closed, alone, noVerdict, ""},
		"bad 2xx, attempts left":            {cmsclient.Undecodable, 4, 5, closed, alone, retry, ""},
		"bad 2xx, used up":                  {cmsclient.Undecodable, 5, 5, closed, alone, deadLetter, unexpected},
		"bad 2xx, used up, shared":          {cmsclient.Undecodable, 5, 5, closed, !alone, askAlone, ""},
		"bad 2xx, not closed":               {cmsclient.Undecodable, 9, 5, !closed, alone, noVerdict, ""},
		"429":                               {cmsclient.Throttled, 1, 5, closed, alone, noVerdict, ""},
		"429 for ever":                      {cmsclient.Throttled, 99, 5, closed, alone, noVerdict, ""},
		"403":                               {cmsclient.Halting, 1, 5, closed, alone, noVerdict, ""},
		"403, one attempt allowed":          {cmsclient.Halting, 1, 1, closed, alone, noVerdict, ""},
		"403, used up, not closed":          {cmsclient.Halting, 9, 5, !closed, alone, noVerdict, ""},
		"403 while all others are answered": {cmsclient.Halting, 5, 5, closed, alone, deadLetter, rejected},
		"the same, shared":                  {cmsclient.Halting, 5, 5, closed, !alone, askAlone, ""},
		"no key":                            {cmsclient.Undecryptable, 1, 5, closed, alone, noVerdict, ""},
		"no key, one attempt allowed":       {cmsclient.Undecryptable, 1, 1, closed, alone, noVerdict, ""},
		"no key, attempts left":             {cmsclient.Undecryptable, 4, 5, closed, alone, noVerdict, ""},
		"no key, used up, not closed":       {cmsclient.Undecryptable, 9, 5, !closed, alone, noVerdict, ""},
		"no key while others are answered":  {cmsclient.Undecryptable, 5, 5, closed, alone, deadLetter, unexpected},
		"no key, the same, shared":          {cmsclient.Undecryptable, 5, 5, closed, !alone, askAlone, ""},
		"a class from the future":           {"new", 99, 5, closed, alone, noVerdict, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := failure{class: test.class, counted: test.counted, maxAttempts: test.of, breakerClosed: test.breakerClosed,
				shared: test.shared}
			if got, reason := decide(f); got != test.want || reason != test.reason {
				t.Errorf("decide(%+v) = %v %q, want %v %q", f, got, reason, test.want, test.reason)
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
