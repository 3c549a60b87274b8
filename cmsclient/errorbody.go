package cmsclient

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// lenient reads error bodies: all that can be understood of them helps.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// maxErrorName bounds Source and ReasonCode, in bytes, as the CMS's schema does.
const maxErrorName = 200

// cmsError is the first error of an error body, cleaned. All members are optional.
type cmsError struct{ Source, ReasonCode, Description string }

// decodeErrors reads {"Errors":{"Error":[{Source,ReasonCode,Description,Recoverable,Details}]}}, or a single object in
// place of the array. It reports whether the body has that form; many have not, they may not even be JSON.
func decodeErrors(dec *jsontext.Decoder) (first cmsError, known bool) {
	take := func() error {
		var e cmsError
		err := eachMember(dec, func(name string) error {
			switch name {
			case "Source":
				return lenientString(dec, &e.Source, maxErrorName)
			case "ReasonCode":
				return lenientString(dec, &e.ReasonCode, maxErrorName)
			}
			return lenientString(dec, &e.Description, maxDescription)
		}, "Source", "ReasonCode", "Description")
		if err == nil && !known {
			first, known = e, true
		}
		return err
	}
	err := eachMember(dec, func(string) error {
		return eachMember(dec, func(string) error {
			if dec.PeekKind() == kindArray {
				return eachElement(dec, func(int) error { return take() })
			}
			return take()
		}, "Error")
	}, "Errors")
	if err != nil {
		return cmsError{}, false
	}
	return first, known
}

// lenientString reads a string, cleaned, into target; a value of another kind is skipped.
func lenientString(dec *jsontext.Decoder, target *string, limit int) error {
	if dec.PeekKind() != kindString {
		return dec.SkipValue()
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	*target = redact(strings.TrimSpace(token.String()), limit)
	return nil
}
