package schemas

import "time"

// Limits of a request; DecodeRequest refuses what is outside of them and names the field.
const (
	MinContractID   = 1
	MaxContractID   = 999_999_999_999_999_999 // 18 digits: the CMS's own limit
	MaxBalanceCodes = 100
	MaxCodeLength   = 32 // characters, as in the CMS's API
	MaxRequestID    = 256
	MaxRequestSize  = 1 << 20 // bytes of a request's value
	MaxRequestDepth = 32      // nesting of unknown members
)

// Request is a decoded balance request.
type Request struct {
	// requestId, else the CloudEvents id, else topic/partition/offset (where it stood first, if it was replayed)
	ID           string
	ContractID   int64     // MinContractID…MaxContractID
	BalanceCodes []string  // 1…MaxBalanceCodes, without duplicates, in the order given
	Deadline     time.Time // zero: none
	Trace        Trace     // that it belongs to; aliases the record
}
