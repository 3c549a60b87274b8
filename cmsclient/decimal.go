package cmsclient

import (
	"errors"
	"strconv"
	"strings"
)

// maxAmount is the longest amount, in characters. The CMS's own limit comes to 24: a sign, 18 digits, a point, 4
// digits.
const maxAmount = 40

var errAmount = errors.New("an amount of more than 40 characters")

// plainDecimal writes a JSON number without an exponent, by moving the point in the text: every digit is kept, none is
// added but the zeros the exponent stands for. 1.50e1 is 15.0.
func plainDecimal(number string) (string, error) {
	if len(number) > maxAmount {
		return "", errAmount
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return number, nil
	}
	exponent, err := strconv.Atoi(number[at+1:])
	if err != nil || exponent < -maxAmount || exponent > maxAmount {
		return "", errAmount
	}
	mantissa, negative := strings.CutPrefix(number[:at], "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")

	digits := whole + fraction
	point := len(whole) + exponent // digits before the point
	if point < 1 {
		digits = strings.Repeat("0", 1-point) + digits
		point = 1
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	text := strings.TrimLeft(digits[:point-1], "0") + digits[point-1:point]
	if point < len(digits) {
		text += "." + digits[point:]
	}
	if negative {
		text = "-" + text
	}
	if len(text) > maxAmount {
		return "", errAmount
	}
	return text, nil
}
