package cmsclient

import "github.com/balanceq/balanceq/schemas"

// plainBalances reads an answer as the CMS writes it: an object of nothing but contractBalances, no member twice,
// strings of ASCII without an escape, numbers without an exponent. It says what decodeBalances says of it, in a third
// of the time. Whatever has any other form it leaves to that one, as a whole: ok is false. So it does with an encrypted
// answer, whose envelope is a member of another name.
func plainBalances(text []byte, wanted []string) (balances []schemas.Balance, ok bool) {
	s := plainScanner{all: text}
	if !s.token('{') || string(s.text()) != "contractBalances" || !s.token(':') || !s.token('[') {
		return nil, false
	}
	for first := true; !s.token(']'); first = false {
		if !first && !s.token(',') {
			return nil, false
		}
		balance, asked, ok := s.balance(wanted)
		if !ok {
			return nil, false
		}
		if asked {
			if balances == nil {
				balances = make([]schemas.Balance, 0, len(wanted))
			}
			balances = append(balances, balance)
		}
	}
	return balances, s.token('}') && s.next() == 0 && s.at == len(text)
}

// plainScanner reads JSON text from left to right. What it is asked for and does not find is nil, which no value is.
type plainScanner struct {
	all []byte
	at  int
}

// balance reads one; asked says that its code is wanted.
func (s *plainScanner) balance(wanted []string) (b schemas.Balance, asked, ok bool) {
	if !s.token('{') {
		return b, false, false
	}
	var code []byte
	for first := true; !s.token('}'); first = false {
		if !first && !s.token(',') {
			return b, false, false
		}
		name := s.text()
		if !s.token(':') {
			return b, false, false
		}
		var twice bool
		var value []byte
		switch string(name) {
		case "balanceCode":
			twice = code != nil
			value = s.text()
			code = value
		case "balanceId":
			twice = b.ID != ""
			value = s.id()
			b.ID = string(value)
		case "balanceCurrency":
			twice = b.Currency != ""
			value = s.currency()
			b.Currency = string(value)
		case "balanceValue":
			twice = b.Value != ""
			value = s.amount()
			b.Value = string(value)
		}
		if value == nil || twice {
			return b, false, false
		}
	}
	if len(code) < 1 || len(code) > schemas.MaxCodeLength || b.ID == "" {
		return b, false, false
	}
	for _, one := range wanted {
		if one == string(code) {
			b.Code, asked = one, true // which saves a copy
			break
		}
	}
	return b, asked, true
}

// token passes white space and then c, where that follows.
func (s *plainScanner) token(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

// next passes white space and returns what follows; 0 at the end, which is in no JSON text.
func (s *plainScanner) next() byte {
	for ; s.at < len(s.all); s.at++ {
		if c := s.all[s.at]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
	}
	return 0
}

// text reads a string; nil also where it is empty, or has more than printable ASCII.
func (s *plainScanner) text() []byte {
	if !s.token('"') {
		return nil
	}
	from := s.at
	for ; s.at < len(s.all); s.at++ {
		switch c := s.all[s.at]; {
		case c == '"':
			s.at++
			return some(s.all[from : s.at-1])
		case c < ' ' || c > '~' || c == '\\':
			return nil
		}
	}
	return nil
}

// some is nil where there is nothing.
func some(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	return text
}

// currency reads a string of three letters.
func (s *plainScanner) currency() []byte {
	text := s.text()
	if len(text) != 3 {
		return nil
	}
	for _, c := range text {
		if c |= 'a' - 'A'; c < 'a' || c > 'z' {
			return nil
		}
	}
	return text
}

// digits passes those that follow.
func (s *plainScanner) digits() []byte {
	from := s.at
	for s.at < len(s.all) && '0' <= s.all[s.at] && s.all[s.at] <= '9' {
		s.at++
	}
	return some(s.all[from:s.at])
}

// id reads an integer from 1 to 999999999999999999.
func (s *plainScanner) id() []byte {
	if s.next() == '0' {
		return nil
	}
	if id := s.digits(); len(id) <= maxIDDigits {
		return id
	}
	return nil
}

// amount reads a number without an exponent: of one that has it, the rest is no token.
func (s *plainScanner) amount() []byte {
	sign := s.next()
	from := s.at
	if sign == '-' {
		s.at++
	}
	whole := s.digits()
	if whole == nil || whole[0] == '0' && len(whole) > 1 {
		return nil
	}
	if s.at < len(s.all) && s.all[s.at] == '.' {
		s.at++
		if s.digits() == nil {
			return nil
		}
	}
	if s.at-from > maxAmount {
		return nil
	}
	return s.all[from:s.at]
}
