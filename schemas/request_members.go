package schemas

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

const (
	maxRawCodes = 1000 // entries of balanceCodes before duplicates are removed
	maxIDDigits = 18   // of MaxContractID
)

func (r *requestReader) contractID() error {
	r.gotID = true
	if kind := r.kind(); kind != '"' && kind != '0' {
		return r.wrongKind("contractId", wantContractID)
	}
	digits, err := r.scalar()
	if err != nil {
		return err
	}
	id, problem := parseContractID(digits)
	if problem != "" {
		r.fail("contractId", problem+"; send "+wantContractID)
	}
	r.request.ContractID = id
	return nil
}

func (r *requestReader) balanceCodes() error {
	r.gotCodes = true
	if r.kind() != '[' {
		return r.wrongKind("balanceCodes", wantCodes)
	}
	codes, entries := make([]string, 0, 4), 0
	err := r.elements(func(i int) error {
		entries++
		if entries > maxRawCodes {
			return r.skip()
		}
		code, err := r.balanceCode(i)
		// At most a hundred short codes to look through, for at most a thousand entries: no map is needed.
		if code != nil && len(codes) <= MaxBalanceCodes && !containsText(codes, code) {
			codes = append(codes, string(code))
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case entries == 0:
		r.fail("balanceCodes", "is empty; send "+wantCodes)
	case entries > maxRawCodes:
		r.fail("balanceCodes", "has "+strconv.Itoa(entries)+" entries; send "+wantCodes)
	case len(codes) > MaxBalanceCodes:
		r.fail("balanceCodes", "has more than 100 different codes; split the request")
	default:
		r.request.BalanceCodes = codes
	}
	return nil
}

// balanceCode reads one code; nil if it is not fit to be one.
func (r *requestReader) balanceCode(i int) ([]byte, error) {
	if r.kind() != '"' {
		return nil, r.wrongKind(indexed("balanceCodes", i), wantCode)
	}
	code, err := r.scalar()
	if err != nil {
		return nil, err
	}
	if problem := codeProblem(code); problem != "" {
		r.fail(indexed("balanceCodes", i), problem)
		return nil, nil
	}
	return code, nil
}

func (r *requestReader) requestID() error {
	switch r.kind() {
	case 'n':
		return r.skip()
	case '"':
	default:
		return r.wrongKind("requestId", wantRequestID)
	}
	id, err := r.scalar()
	if err != nil {
		return err
	}
	switch {
	case len(id) == 0:
		r.fail("requestId", "is empty; send "+wantRequestID)
	case len(id) > MaxRequestID:
		r.fail("requestId", "has "+strconv.Itoa(len(id))+" bytes; send "+wantRequestID)
	case hasControl(id):
		r.fail("requestId", "has a control character: "+quote(id)+"; send it without")
	default:
		r.request.ID = string(id)
	}
	return nil
}

func (r *requestReader) deadline() error {
	switch r.kind() {
	case 'n':
		return r.skip()
	case '"':
	default:
		return r.wrongKind("deadline", wantDeadline)
	}
	text, err := r.scalar()
	if err != nil {
		return err
	}
	deadline, ok := parseTime(text)
	if !ok {
		r.fail("deadline", quote(text)+" is not an RFC 3339 time with a zone; send "+wantDeadline)
		return nil
	}
	// 0001-01-01 is how Go and .NET write "no time"; taken at its word, it would be a deadline that has passed.
	if year := deadline.Year(); year < 1970 || year > 9999 {
		r.fail("deadline", quote(text)+" is not in the years 1970 to 9999; send "+wantDeadline)
		return nil
	}
	r.request.Deadline = deadline
	return nil
}

// parseContractID returns the id, or 0 and what is wrong with the digits.
func parseContractID(digits []byte) (id int64, problem string) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, quote(digits) + " has something other than digits"
		}
	}
	switch {
	case len(digits) == 0:
		return 0, "is empty"
	case len(digits) > maxIDDigits:
		return 0, "has " + strconv.Itoa(len(digits)) + " digits"
	case digits[0] == '0' && len(digits) > 1:
		return 0, "has a leading zero"
	case digits[0] == '0':
		return 0, "is 0"
	}
	for _, c := range digits {
		id = id*10 + int64(c-'0')
	}
	return id, ""
}

// codeProblem says what is wrong with a balance code, "" if nothing is.
func codeProblem(code []byte) string {
	switch n := utf8.RuneCount(code); {
	case n == 0:
		return "is empty; send " + wantCode
	case n > MaxCodeLength:
		return "has " + strconv.Itoa(n) + " characters; send " + wantCode
	case hasControl(code):
		return "has a control character: " + quote(code) + "; send the code without it"
	case bytes.IndexByte(code, ',') >= 0:
		return "has a comma: " + quote(code) +
			"; commas separate codes on their way to the CMS: send each code as an entry of its own"
	}
	return ""
}

func containsText(list []string, text []byte) bool {
	for _, s := range list {
		if s == string(text) {
			return true
		}
	}
	return false
}

// indexed returns "field[i]".
func indexed(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }
