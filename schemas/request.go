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
	ID           string    // requestId, else the CloudEvents id, else topic/partition/offset (where it stood first, if it was replayed)
	ContractID   int64     // MinContractID…MaxContractID
	BalanceCodes []string  // 1…MaxBalanceCodes, without duplicates, in the order given
	Deadline     time.Time // zero: none
}

// Inquiry is a record on its way to its outcome: the record as read and what it asks.
type Inquiry struct {
	Record  *Record
	Request Request
	// Err says why the record is not a valid request; Request then holds only what could be read of it (at least the ID).
	Err error

	// What happened to it so far; the processor writes these.
	Attempts     int       // CMS calls made for it, all of them
	Counted      int       // failed attempts that count against it: the CMS answered others in between
	FirstFailure time.Time // of an attempt; zero: none failed
	LastFailure  time.Time

	// Ticket is what the consumer knows the record by; nobody else looks into it.
	Ticket any
}
