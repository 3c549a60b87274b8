package cmssim

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/schemas"
)

// BasePath is the path of the Core API under every host of Mastercard (production, MTF, sandbox).
const BasePath = "/global-processing/core"

const (
	sourceProcessing = "MASTERCARD PROCESSING"
	sourceGateway    = "Gateway"

	reasonValidation = "REQUEST_VALIDATION"

	paramCodes      = "balance_codes"
	operationDenied = "Operation getContractBalances is disabled in your API configuration."
	methodDenied    = "The method is not allowed for the requested resource."
	systemError     = "The system is temporarily unable to process the request."
)

// cmsError is one entry of the API's ErrorWrapper.
type cmsError struct {
	source      string
	reasonCode  string
	description string
}

// Errors that depend on nothing but the status or the parameter. The first three are documented (the second on sibling
// operations), the others follow the gateway's names where those are known.
var (
	errContractID    = cmsError{sourceProcessing, reasonValidation, "Invalid type of request parameter contract_id."}
	errMissingCodes  = cmsError{sourceProcessing, reasonValidation, "Missing required request parameter balance_codes."}
	errOperation     = cmsError{sourceProcessing, "OPERATION_DENIED", operationDenied}
	errInvalidCodes  = cmsError{sourceProcessing, reasonValidation, "Invalid value of request parameter balance_codes."}
	errContract      = cmsError{sourceProcessing, "CONTRACT_DOES_NOT_EXIST", "Contract not found."}
	errPath          = cmsError{sourceGateway, "NOT_FOUND", "The requested resource could not be found."}
	errMethod        = cmsError{sourceGateway, "METHOD_NOT_ALLOWED", methodDenied}
	errAuthorization = cmsError{sourceGateway, "AUTHENTICATION_FAILED", "The authentication of the request failed."}
	errMediaType     = cmsError{sourceGateway, "UNSUPPORTED_MEDIA_TYPE", "The media type of the request is not supported."}
	errTimeout       = cmsError{sourceGateway, "REQUEST_TIMEOUT", "The request timed out."}
	errTooMany       = cmsError{sourceGateway, "TOO_MANY_REQUESTS", "Too many requests."}
	errSystem        = cmsError{sourceProcessing, "SYSTEM_ERROR", systemError}
	errGateway       = cmsError{sourceGateway, "SERVICE_UNAVAILABLE", "The service is temporarily unavailable."}
)

// errorFor returns the error that a fault of that status answers with unless it brings its own.
func errorFor(status int) cmsError {
	switch status {
	case http.StatusUnauthorized:
		return errAuthorization
	case http.StatusForbidden:
		return errOperation
	case http.StatusNotFound:
		return errContract
	case http.StatusMethodNotAllowed:
		return errMethod
	case http.StatusRequestTimeout:
		return errTimeout
	case http.StatusUnsupportedMediaType:
		return errMediaType
	case http.StatusTooManyRequests:
		return errTooMany
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return errGateway
	}
	if status >= http.StatusInternalServerError {
		return errSystem
	}
	return errContractID
}

// append writes the error as {"Errors":{"Error":[…]}}. Text that cannot be quoted as it is gets repaired by
// AppendQuote.
func (e cmsError) append(dst []byte) []byte {
	dst = append(dst, `{"Errors":{"Error":[{"Source":`...)
	dst, _ = jsontext.AppendQuote(dst, e.source)
	dst = append(dst, `,"ReasonCode":`...)
	dst, _ = jsontext.AppendQuote(dst, e.reasonCode)
	dst = append(dst, `,"Description":`...)
	dst, _ = jsontext.AppendQuote(dst, e.description)
	return append(dst, `,"Recoverable":false}]}}`...)
}

// contractPart returns the {contract_id} of a balances path, below the base path or at the root; false for other paths.
func contractPart(path string) (string, bool) {
	path = strings.TrimPrefix(path, BasePath)
	id, ok := strings.CutPrefix(path, "/contracts/")
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(id, "/balances")
	return id, ok && id != "" && strings.IndexByte(id, '/') < 0
}

// parseContractID accepts 1…schemas.MaxContractID in at most 18 decimal digits, without sign.
func parseContractID(text string) (int64, bool) {
	if len(text) > len("999999999999999999") {
		return 0, false
	}
	var id int64
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		id = id*10 + int64(c-'0')
	}
	return id, id >= schemas.MinContractID
}

// appendAnswer writes what the CMS answers to a call that nothing disturbs, and returns the status with the body.
func appendAnswer(dst []byte, method string, u *url.URL) (int, []byte) {
	part, ok := contractPart(u.Path)
	if !ok {
		return http.StatusNotFound, errPath.append(dst)
	}
	if method != http.MethodGet {
		return http.StatusMethodNotAllowed, errMethod.append(dst)
	}
	contractID, ok := parseContractID(part)
	if !ok {
		return http.StatusBadRequest, errContractID.append(dst)
	}
	var room [16]string
	codes, err := parseCodes(room[:0], u.RawQuery)
	if errors.Is(err, errNoCodes) {
		return http.StatusBadRequest, errMissingCodes.append(dst)
	}
	if err != nil {
		return http.StatusBadRequest, errInvalidCodes.append(dst)
	}
	if !Exists(contractID) {
		missing := errContract
		missing.description = "Contract with id " + strconv.FormatInt(contractID, 10) + " not found."
		return http.StatusNotFound, missing.append(dst)
	}
	return http.StatusOK, appendBalances(dst, contractID, codes)
}

// appendBalances writes the 200 body. The empty list keeps the blank that the sandbox's page shows.
func appendBalances(dst []byte, contractID int64, codes []string) []byte {
	const opening = `{"contractBalances":[`
	start := len(dst)
	dst = append(dst, opening...)
	var seen uint16
	for _, code := range codes {
		b, ok := find(contractID, code, &seen)
		if !ok {
			continue
		}
		if len(dst) > start+len(opening) {
			dst = append(dst, ',')
		}
		dst = b.appendJSON(dst)
	}
	if len(dst) == start+len(opening) {
		return append(dst[:start], `{"contractBalances": []}`...)
	}
	return append(dst, `]}`...)
}

var (
	errNoCodes  = errors.New("balance_codes is absent or empty")
	errBadCodes = errors.New("balance_codes is not a list of 1 to 32 characters each")
)

// parseCodes appends the codes of the raw query to dst. The parameter is one value with commas (explode: false), raw or
// as %2C, so it may not come twice. Unescaping happens code by code: the usual query costs no allocation.
func parseCodes(dst []string, rawQuery string) ([]string, error) {
	value, found := "", false
	for rest := rawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, v, _ := strings.Cut(pair, "=")
		if name != paramCodes {
			continue
		}
		if found {
			return nil, errBadCodes
		}
		value, found = v, true
	}
	if value == "" {
		return nil, errNoCodes
	}
	for more := true; more; {
		var code string
		code, value, more = cutComma(value)
		if strings.ContainsAny(code, "%+") {
			plain, err := url.QueryUnescape(code)
			if err != nil {
				return nil, errBadCodes
			}
			code = plain
		}
		if code == "" || utf8.RuneCountInString(code) > schemas.MaxCodeLength || !utf8.ValidString(code) {
			return nil, errBadCodes
		}
		dst = append(dst, code)
	}
	return dst, nil
}

// cutComma is strings.Cut around the first comma, written as "," or as "%2C".
func cutComma(s string) (before, after string, found bool) {
	for i := range len(s) {
		switch s[i] {
		case ',':
			return s[:i], s[i+1:], true
		case '%':
			if strings.HasPrefix(s[i:], "%2C") || strings.HasPrefix(s[i:], "%2c") {
				return s[:i], s[i+3:], true
			}
		}
	}
	return s, "", false
}
