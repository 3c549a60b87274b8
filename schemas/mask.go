package schemas

import "strconv"

// A contract id has room for a card number (PAN), so a producer's mistake could put one there, and from there into logs
// and dead letters. Masking keeps what PCI DSS 3.4.1 lets be shown: the first six digits and the last four.
const (
	minCardDigits = 13
	maxCardDigits = 18 // a contract id has no more
	longest       = 19 // ISO/IEC 7812: of a text, see longCard
	shownFirst    = 6
	shownLast     = 4
)

// groupings are how card numbers are printed on cards, and so how people write them.
var groupings = [][]int{{4, 4, 4, 4, 3}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}}

// Mask replaces the middle digits of every possible card number in s by stars: every run of 13 to 18 ASCII digits, not
// part of a longer run, whose Luhn check digit is right; of 19 digits, where they begin as cards of that length do; and
// such digits in groups with spaces, hyphens or dots between them. The length stays the same. It does not allocate
// where there is none.
func Mask(s string) string {
	var masked []byte
	for i := 0; i < len(s); {
		n := leadingDigits(s[i:])
		size := n
		if run := s[i : i+n]; !isCardNumber(run) && !isLongCard(run) {
			size = groupedCard(s, i, n)
		}
		if size > 0 {
			if masked == nil {
				masked = []byte(s)
			}
			star(masked[i : i+size])
		}
		i += max(n, 1)
	}
	if masked == nil {
		return s
	}
	return string(masked)
}

// star replaces the middle digits.
func star(card []byte) {
	digits := 0
	for _, c := range card {
		if isDigit(c) {
			digits++
		}
	}
	at := 0
	for i, c := range card {
		if !isDigit(c) {
			continue
		}
		if at++; at > shownFirst && at <= digits-shownLast {
			card[i] = '*'
		}
	}
}

// isLongCard knows cards of 19 digits by how they begin (Maestro, UnionPay): times in nanoseconds are as long.
func isLongCard(run string) bool {
	return len(run) == longest && (run[0] == '5' || run[0] == '6') && luhn(run)
}

// groupedCard returns how many bytes of s from i on are a card number in groups, 0 for none; n is the length of the
// first.
func groupedCard(s string, i, n int) (size int) {
	if n != groupings[0][0] || i > 0 && isWord(s[i-1]) || i+n == len(s) {
		return 0
	}
	between := s[i+n]
	if between != ' ' && between != '-' && between != '.' {
		return 0
	}
	var room [longest]byte
	for _, groups := range groupings {
		digits, at := room[:0], i
		for g, n := range groups {
			if g > 0 {
				if at == len(s) || s[at] != between {
					break
				}
				at++
			}
			if leadingDigits(s[at:]) != n {
				break
			}
			digits = append(digits, s[at:at+n]...)
			at += n
		}
		whole := 0
		for _, n := range groups {
			whole += n
		}
		if len(digits) == whole && (at == len(s) || !isWord(s[at])) && luhn(digits) {
			return at - i
		}
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
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

func isCardNumber[T string | []byte](digits T) bool {
	return minCardDigits <= len(digits) && len(digits) <= maxCardDigits && luhn(digits)
}

// luhn applies ISO/IEC 7812-1 annex B: from the right, every second digit counts double, as the sum of its digits.
func luhn[T string | []byte](digits T) bool {
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
