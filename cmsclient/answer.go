package cmsclient

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/balanceq/balanceq/internal/jsonwalk"
	"github.com/balanceq/balanceq/schemas"
)

const (
	kindNull   = jsontext.Kind('n')
	kindString = jsontext.Kind('"')
	kindNumber = jsontext.Kind('0')
	kindObject = jsontext.Kind('{')
	kindArray  = jsontext.Kind('[')

	maxIDDigits = 18 // balanceId is at most 999999999999999999
)

// decodeBalances reads the CMS's answer (schema ContractBalances of its OpenAPI document) and returns the balances of
// the wanted codes. Unknown members are ignored; null is the same as absent for optional ones. Duplicate names,
// trailing data and bad UTF-8 are errors. Numbers stay text: their 22 digits do not fit a float.
func decodeBalances(dec *jsontext.Decoder, wanted []string) ([]schemas.Balance, error) {
	var balances []schemas.Balance
	found := false
	err := eachMember(dec, func(string) (err error) {
		found = true
		balances, err = decodeArray(dec, wanted)
		return err
	}, "contractBalances")
	if err != nil {
		return nil, located(err)
	}
	if !found {
		return nil, errors.New("contractBalances is missing")
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is data after the JSON value")
	}
	return balances, nil
}

// located says jsontext's error without the names of the members on the way there: they are the sender's, and jsontext
// escapes and cuts them so that what is secret in them can no longer be recognised.
func located(err error) error {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("%w at byte %d", syntactic.Err, syntactic.ByteOffset)
	}
	return err
}

func decodeArray(dec *jsontext.Decoder, wanted []string) ([]schemas.Balance, error) {
	var balances []schemas.Balance
	err := eachElement(dec, func(i int) error {
		balance, asked, err := decodeBalance(dec, wanted)
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		if asked {
			if balances == nil {
				balances = make([]schemas.Balance, 0, len(wanted))
			}
			balances = append(balances, balance)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("contractBalances: %w", err)
	}
	return balances, nil
}

// decodeBalance also reports whether the balance's code is a wanted one.
func decodeBalance(dec *jsontext.Decoder, wanted []string) (b schemas.Balance, asked bool, err error) {
	hasCode := false
	err = eachMember(dec, func(name string) error {
		var err error
		switch name {
		case "balanceCode":
			hasCode = true
			b.Code, asked, err = readCode(dec, wanted)
		case "balanceId":
			b.ID, err = readID(dec)
		case "balanceCurrency":
			b.Currency, err = readCurrency(dec)
		case "balanceValue":
			b.Value, err = readAmount(dec)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}, "balanceCode", "balanceId", "balanceCurrency", "balanceValue")
	switch {
	case err != nil:
	case !hasCode:
		err = errors.New("balanceCode is missing")
	case b.ID == "":
		err = errors.New("balanceId is missing")
	}
	return b, asked, err
}

// readCode returns the wanted code itself where there is one, which saves a copy.
func readCode(dec *jsontext.Decoder, wanted []string) (code string, asked bool, err error) {
	text, err := readString(dec)
	if err != nil {
		return "", false, err
	}
	if n := utf8.RuneCount(text); n < 1 || n > schemas.MaxCodeLength {
		return "", false, fmt.Errorf("not 1 to %d characters", schemas.MaxCodeLength)
	}
	for _, code := range wanted {
		if code == string(text) {
			return code, true, nil
		}
	}
	return "", false, nil
}

func readID(dec *jsontext.Decoder) (string, error) {
	v, err := readValue(dec, kindNumber)
	if err != nil {
		return "", err
	}
	// JSON has no leading zeros, so a first digit other than 0 is all it takes to be at least 1.
	ok := len(v) <= maxIDDigits && v[0] != '0'
	for _, b := range v {
		ok = ok && '0' <= b && b <= '9'
	}
	if !ok {
		return "", errors.New("not an integer from 1 to 999999999999999999")
	}
	return string(v), nil
}

func readCurrency(dec *jsontext.Decoder) (string, error) {
	if dec.PeekKind() == kindNull {
		return "", dec.SkipValue()
	}
	text, err := readString(dec)
	if err != nil {
		return "", err
	}
	ok := len(text) == 3
	for _, b := range text {
		ok = ok && ('A' <= b && b <= 'Z' || 'a' <= b && b <= 'z')
	}
	if !ok {
		return "", errors.New("not 3 letters")
	}
	return string(text), nil
}

func readAmount(dec *jsontext.Decoder) (string, error) {
	if dec.PeekKind() == kindNull {
		return "", dec.SkipValue()
	}
	v, err := readValue(dec, kindNumber)
	if err != nil {
		return "", err
	}
	return plainDecimal(string(v))
}

// eachMember reads an object, calls member for each member that has one of the names, and skips the others; member must
// consume the value.
func eachMember(dec *jsontext.Decoder, member func(name string) error, names ...string) error {
	if err := expect(dec, kindObject); err != nil {
		return err
	}
	var scratch []byte
	return jsonwalk.Members(dec, &scratch, func(text []byte) error {
		// Calling by the caller's own string, not by the text: that would need a copy of it.
		at := slices.IndexFunc(names, func(name string) bool { return name == string(text) })
		if at < 0 {
			return dec.SkipValue()
		}
		return member(names[at])
	})
}

// eachElement reads an array and calls element for each of its values; element must consume the value.
func eachElement(dec *jsontext.Decoder, element func(i int) error) error {
	if err := expect(dec, kindArray); err != nil {
		return err
	}
	return jsonwalk.Elements(dec, element)
}

// expect refuses a value of another kind that can be read; the error of one that cannot comes with reading it.
func expect(dec *jsontext.Decoder, kind jsontext.Kind) error {
	if got := dec.PeekKind(); got != kind && got != jsontext.KindInvalid {
		return wrongKind(kind)
	}
	return nil
}

// readString returns the text of a string. It is valid until the decoder's next step.
func readString(dec *jsontext.Decoder) ([]byte, error) {
	v, err := readValue(dec, kindString)
	if err != nil {
		return nil, err
	}
	var scratch []byte
	return jsonwalk.Unquote(v, &scratch), nil
}

// readValue returns a value's raw text. It is valid until the decoder's next step.
func readValue(dec *jsontext.Decoder, kind jsontext.Kind) (jsontext.Value, error) {
	v, err := dec.ReadValue()
	if err != nil {
		return nil, err
	}
	if v.Kind() != kind {
		return nil, wrongKind(kind)
	}
	return v, nil
}

func wrongKind(want jsontext.Kind) error {
	switch want {
	case kindString:
		return errors.New("not a string")
	case kindNumber:
		return errors.New("not a number")
	case kindArray:
		return errors.New("not an array")
	}
	return errors.New("not an object")
}
