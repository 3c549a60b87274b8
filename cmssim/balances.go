package cmssim

import (
	"strconv"

	"github.com/balanceq/balanceq/schemas"
)

// Codes lists the balance codes that the simulator knows: those of the OpenAPI document 1.1.2, account contract level.
var Codes = []string{
	"AVAILABLE", "BLOCKED", "CR_LIMIT", "DUE", "OVL", "PAST_DUE", "STMT_BALANCE", "TOTAL_BALANCE", "TOTAL_DUE",
	"REV_BALANCE", "CB", "LINKED_ACC_AVAILABLE", "OWN_AVAILABLE",
}

// Contracts with a behaviour of their own; see the package comment.
const (
	sandboxContract  = 70001
	prefixUnknown    = 404
	prefixNoBalances = 204
	prefixExtreme    = 999
)

// Positions in Codes that the ledger treats differently.
const (
	codeAvailable = 0
	codeBlocked   = 1
	codeLinked    = 11
)

// currency is an ISO 4217 code and its number of decimals, as the amounts of the ledger show them.
type currency struct {
	name  string
	scale int
}

// currencies has the common ones more than once: a contract takes one of the sixteen.
var currencies = [16]currency{
	{"EUR", 2}, {"EUR", 2}, {"EUR", 2}, {"EUR", 2}, {"EUR", 2}, {"USD", 2}, {"USD", 2}, {"USD", 2},
	{"GBP", 2}, {"GBP", 2}, {"CHF", 2}, {"PLN", 2}, {"SEK", 2}, {"JPY", 0}, {"KWD", 3}, {"CLF", 4},
}

// balance is one entry of the ledger. The amount is kept in two halves because 22 digits do not fit an integer.
type balance struct {
	code     string
	id       int64
	currency string // "" is absent
	hasValue bool
	negative bool
	whole    uint64
	fraction uint64 // of scale digits
	scale    int
}

// Exists reports whether the ledger has the contract.
func Exists(contractID int64) bool {
	return contractID >= schemas.MinContractID && contractID <= schemas.MaxContractID &&
		leading3(contractID) != prefixUnknown
}

// Balances returns what the simulator answers for the contract: the known ones among the codes, in the order given and
// once each. It is nil for a contract that does not exist. Tests use it to know what to expect.
func Balances(contractID int64, codes ...string) []schemas.Balance {
	if !Exists(contractID) {
		return nil
	}
	var out []schemas.Balance
	var seen uint16
	for _, code := range codes {
		if b, ok := find(contractID, code, &seen); ok {
			out = append(out, schemas.Balance{
				Code: b.code, ID: strconv.FormatInt(b.id, 10), Currency: b.currency, Value: string(b.appendValue(nil)),
			})
		}
	}
	return out
}

// find looks a code up in the ledger. seen holds one bit a code, so that a code asked twice is answered once.
func find(contractID int64, code string, seen *uint16) (balance, bool) {
	i := codeIndex(code)
	if i < 0 || *seen&(1<<i) != 0 {
		return balance{}, false
	}
	*seen |= 1 << i
	return entry(contractID, i)
}

// codeIndex returns the code's position in Codes, or -1.
func codeIndex(code string) int {
	for i, known := range Codes {
		if code == known {
			return i
		}
	}
	return -1
}

// entry computes the ledger's balance of an existing contract; false where the contract holds no such balance.
func entry(contractID int64, code int) (balance, bool) {
	if contractID == sandboxContract {
		return sandboxEntry(code)
	}
	switch leading3(contractID) {
	case prefixNoBalances:
		return balance{}, false
	case prefixExtreme:
		return extremeEntry(contractID, code), true
	}

	ofContract := mix(uint64(contractID))
	ofBalance := mix(uint64(contractID)<<4 | uint64(code))
	unit := currencies[ofContract%16]
	if code == codeLinked { // a multicurrency card: the linked account has a currency of its own
		unit = currencies[(ofContract+5)%16]
	}
	digits := 1 + ofBalance>>8%7
	b := balance{
		code:     Codes[code],
		id:       int64(1_000_000+ofContract>>8%90_000_000)<<4 | int64(code),
		currency: unit.name,
		hasValue: true,
		negative: ofBalance>>5&7 == 0,
		whole:    1 + ofBalance>>16%pow10(int(digits)),
		fraction: ofBalance >> 40 % pow10(unit.scale),
		scale:    unit.scale,
	}
	switch ofBalance & 31 { // a field without a value in the CMS is left out, never null
	case 0:
		b.hasValue = false
	case 1:
		b.currency = ""
	case 2:
		b.hasValue, b.currency = false, ""
	case 3:
		b.negative, b.whole, b.fraction = false, 0, 0
	}
	return b, true
}

// sandboxEntry is the sandbox's documented contract: any code but these two is unknown to it.
func sandboxEntry(code int) (balance, bool) {
	if code != codeAvailable && code != codeBlocked {
		return balance{}, false
	}
	return balance{
		code: Codes[code], id: 89516416 + int64(code), currency: "EUR",
		hasValue: true, whole: 9811, fraction: 31, scale: 2,
	}, true
}

// extremeEntry uses the schema's limits: ids below 10^18, amounts between -10^18 and 10^18 with four decimals.
func extremeEntry(contractID int64, code int) balance {
	b := balance{
		code: Codes[code], id: schemas.MaxContractID - 15 + int64(code), currency: "CLF",
		hasValue: true, whole: schemas.MaxContractID, fraction: 9999, scale: 4,
	}
	switch code {
	case codeAvailable:
	case codeBlocked:
		b.negative = true
	default:
		h := mix(uint64(contractID)<<4 | uint64(code))
		b.negative = h&1 == 0
		b.whole = pow10(17) + h>>1%(9*pow10(17))
		b.fraction = 1 + h>>32%9999
	}
	return b
}

// appendJSON writes the balance with its members in the order of the sandbox's example.
func (b *balance) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"balanceCode":"`...)
	dst = append(dst, b.code...)
	if b.currency != "" {
		dst = append(dst, `","balanceCurrency":"`...)
		dst = append(dst, b.currency...)
	}
	dst = append(dst, `","balanceId":`...)
	dst = strconv.AppendInt(dst, b.id, 10)
	if b.hasValue {
		dst = append(dst, `,"balanceValue":`...)
		dst = b.appendValue(dst)
	}
	return append(dst, '}')
}

// appendValue writes the amount with all decimals of its currency, nothing if it is absent.
func (b *balance) appendValue(dst []byte) []byte {
	if !b.hasValue {
		return dst
	}
	if b.negative {
		dst = append(dst, '-')
	}
	dst = strconv.AppendUint(dst, b.whole, 10)
	if b.scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	for limit := pow10(b.scale - 1); limit > 1 && b.fraction < limit; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, b.fraction, 10)
}

// leading3 returns the first three decimal digits of id, or id itself if it is shorter.
func leading3(id int64) int64 {
	for id >= 1000 {
		id /= 10
	}
	return id
}

func pow10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring inputs give unrelated outputs.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
