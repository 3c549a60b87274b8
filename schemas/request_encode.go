package schemas

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendJSON appends the request as a record's value, the contract id as a string of digits: many JSON readers would
// round a number of more than 15 digits. Publishers use it; DecodeRequest reads it back.
func (r *Request) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"contractId":"`...)
	dst = strconv.AppendInt(dst, r.ContractID, 10)
	dst = append(dst, `","balanceCodes":`...)
	dst = appendStrings(dst, r.BalanceCodes)
	dst = appendMember(dst, "requestId", r.ID)
	if !r.Deadline.IsZero() {
		dst = append(dst, `,"deadline":"`...)
		dst = r.Deadline.UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendMember appends a comma and an optional member of text; nothing if it is empty.
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendString(dst, value)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

// appendString appends a JSON string. What is not UTF-8 in s becomes U+FFFD: the output is always valid.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c > '~' {
			dst, _ = jsontext.AppendQuote(dst, s) // the error says that it replaced something
			return dst
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
