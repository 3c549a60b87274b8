package schemas

import "time"

// Reason says why a record became a dead letter. The vocabulary is closed: dashboards and runbooks are keyed by it.
type Reason string

// The reasons.
const (
	ReasonInvalidRequest     Reason = "invalid-request"     // the record is not a valid request; Detail names the field
	ReasonContractNotFound   Reason = "contract-not-found"  // 404 CONTRACT_DOES_NOT_EXIST from the CMS itself
	ReasonRequestRejected    Reason = "request-rejected"    // 400 from the CMS
	ReasonExpired            Reason = "expired"             // the deadline passed before the call
	ReasonAttemptsExhausted  Reason = "attempts-exhausted"  // this request keeps failing while the breaker is closed
	ReasonUnexpectedResponse Reason = "unexpected-response" // undecodable 2xx, or one that no key opens, again and again
	// the answer is larger than the results topic takes; it was left out
	ReasonResultTooLarge Reason = "result-too-large"
	ReasonInternalError  Reason = "internal-error" // a panic while handling it; the stack is in the log
)

// Reasons lists the vocabulary in the order of documentation.
var Reasons = []Reason{
	ReasonInvalidRequest, ReasonContractNotFound, ReasonRequestRejected, ReasonExpired,
	ReasonAttemptsExhausted, ReasonUnexpectedResponse, ReasonResultTooLarge, ReasonInternalError,
}

// DeadLetter is a record that was given up, with everything an operator needs to decide what to do about it.
type DeadLetter struct {
	Record           *Record // kept byte for byte
	Reason           Reason
	Detail           string // for people; redacted, cut to MaxDetail when encoded
	RequestID        string
	HTTPStatus       int    // of the last CMS answer; 0: none
	CMSReasonCode    string // of the last CMS answer
	Attempts         int
	FirstFailure     time.Time // zero: none
	LastFailure      time.Time
	CorrelationID    string    // the Correlation-Id sent with the last call; "": none was made
	CMSCorrelationID string    // X-MC-Correlation-ID of the last CMS answer, opaque; "": none
	DecidedAt        time.Time // becomes the record's timestamp
	Trace            Trace     // of its writing, where that is traced; the record's own is among its headers
}

// Outcome is what became of a record: a result, a dead letter, or (where failures are published too) both.
type Outcome struct {
	Result     *Result
	DeadLetter *DeadLetter
	Reply      *Reply // where a copy of Result goes; nil: nowhere
}

// Messages is how many messages say so.
func (o Outcome) Messages() (n int32) {
	if o.Result != nil {
		n++
	}
	if o.DeadLetter != nil {
		n++
	}
	if o.Reply != nil {
		n++
	}
	return n
}
