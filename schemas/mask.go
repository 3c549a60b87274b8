package schemas

import "strconv"

// A contract id has room for a card number (PAN), so a producer's mistake could put one there, and from there into logs
// and dead letters. Masking keeps what PCI DSS 3.4.1 lets be shown: the first six digits and the last four.
const (
	minCardDigits = 13
	maxCardDigits = 18 // a contract id has no more; ISO/IEC 7812 numbers can have 19
	shownFirst    = 6
	shownLast     = 4
)

// Mask replaces the middle digits of every possible card number in s by stars: every run of 13 to 18 ASCII digits, not
// part of a longer run, whose Luhn check digit is right. The length stays the same. It does not allocate where there is
// none.
func Mask(s string) string {
	var masked []byte
	for i := 0; i < len(s); {
		n := leadingDigits(s[i:])
		if isCardNumber(s[i : i+n]) {
			if masked == nil {
				masked = []byte(s)
			}
			for j := i + shownFirst; j < i+n-shownLast; j++ {
				masked[j] = '*'
			}
		}
		i += max(n, 1)
	}
	if masked == nil {
		return s
	}
	return string(masked)
}

// MaskID returns id in decimal, masked if it looks like a card number: what logs and text headers may hold of an id.
func MaskID(id int64) string { return Mask(strconv.FormatInt(id, 10)) }

// LooksLikeCardNumber reports whether id has 13 to 18 digits and a right Luhn check digit. One id in ten of that length
// does by chance.
func LooksLikeCardNumber(id int64) bool {
	var digits [20]byte
	return isCardNumber(strconv.AppendInt(digits[:0], id, 10))
}

func leadingDigits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// isCardNumber applies ISO/IEC 7812-1 annex B: from the right, every second digit counts double, as the sum of its
// digits.
func isCardNumber[T string | []byte](digits T) bool {
	if len(digits) < minCardDigits || len(digits) > maxCardDigits {
		return false
	}
	sum, double := 0, false
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
		d := int(digits[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}
