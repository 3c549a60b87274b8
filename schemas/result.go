package schemas

import "time"

// Outcome values of a result.
const (
	OutcomeComplete = "complete" // every code asked for has a balance
	OutcomePartial  = "partial"  // some codes are missing, perhaps all of them
	OutcomeFailed   = "failed"   // published only where failures are published too
)

// Balance is one balance of a contract. Ids and amounts are text with the CMS's exact digits: 22 significant digits do
// not fit a float. An absent currency or value stays absent; it does not mean zero.
type Balance struct {
	Code     string // balanceCode
	ID       string // balanceId
	Currency string // balanceCurrency, ISO 4217 alphabetic; "" is absent
	Value    string // balanceValue, plain decimal; "" is absent
}

// Result is the answer to one request.
type Result struct {
	RequestID           string
	ContractID          int64
	Outcome             string
	Balances            []Balance
	MissingBalanceCodes []string
	RetrievedAt         time.Time // when the CMS answered
	CorrelationID       string    // sent to the CMS as Correlation-Id
	CMSCorrelationID    string    // the CMS's X-MC-Correlation-ID, opaque; "" is absent
	Reason              Reason    // only with OutcomeFailed
	Source              Position  // the request's
	Log                 LogID     // of Source; part of the event's id only
	SchemaID            uint32    // of the frame for a schema registry's readers; 0: the value is JSON alone
	Trace               Trace     // goes into the headers; it may alias the request's record
	Echo                []Header  // the request's that come back behind them; see the function Echo
}
