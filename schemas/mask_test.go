package schemas

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMask(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"empty":              {"", ""},
		"no digits":          {"no contract", "no contract"},
		"16 digits":          {"4111111111111111", "411111******1111"},
		"in text":            {"contract 4111111111111111 is unknown", "contract 411111******1111 is unknown"},
		"between letters":    {"x4111111111111111y", "x411111******1111y"},
		"13 digits":          {"4222222222222", "422222***2222"},
		"18 digits":          {"411111111111111118", "411111********1118"},
		"wrong check digit":  {"4111111111111112", "4111111111111112"},
		"12 digits":          {"422222222222", "422222222222"},
		"19 digits, a time":  {"1761234567890123456", "1761234567890123456"},
		"19 digits, a card":  {"6304000000000000000", "630400*********0000"},
		"20 digits":          {"63040000000000000000", "63040000000000000000"},
		"two":                {"4111111111111111,5555555555554444", "411111******1111,555555******4444"},
		"spaces":             {"4111 1111 1111 1111", "4111 11** **** 1111"},
		"hyphens, in text":   {"for 4111-1111-1111-1111, please", "for 4111-11**-****-1111, please"},
		"dots":               {"4111.1111.1111.1111", "4111.11**.****.1111"},
		"15 in groups":       {"3782 822463 10005", "3782 82**** *0005"},
		"14 in groups":       {"3056 930902 5904", "3056 93**** 5904"},
		"19 in groups":       {"6304 0000 0000 0000 000", "6304 00** **** ***0 000"},
		"two kinds between":  {"4111 1111-1111 1111", "4111 1111-1111 1111"},
		"grouped, not it":    {"4111-1111-1111-1112", "4111-1111-1111-1112"},
		"within a UUID":      {"aaaa4111-1111-4111-a111-111111111111", "aaaa4111-1111-4111-a111-111111111111"},
		"a word goes on":     {"4111-1111-1111-1111a", "4111-1111-1111-1111a"},
		"cut short":          {"4111-1111-1111-", "4111-1111-1111-"},
		"a date":             {"2026-01-31-70001", "2026-01-31-70001"},
		"largest id":         {"999999999999999999", "999999999999999999"},
		"after other digits": {"70001/4111111111111111/3", "70001/411111******1111/3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Mask(test.in); got != test.want {
				t.Errorf("Mask(%q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestLooksLikeCardNumber(t *testing.T) {
	tests := map[int64]bool{
		4111111111111111: true, 5555555555554444: true, 378282246310005: true, 4222222222222: true,
		4111111111111112: false, 70001: false, 0: false, -4111111111111111: false, MaxContractID: false,
	}
	for id, want := range tests {
		if got := LooksLikeCardNumber(id); got != want {
			t.Errorf("LooksLikeCardNumber(%d) = %v, want %v", id, got, want)
		}
		if masked := MaskID(id) != strconv.FormatInt(id, 10); masked != (want || id == -4111111111111111) {
			t.Errorf("MaskID(%d) = %q", id, MaskID(id))
		}
	}
}

// Whatever stands around a card number, its middle digits never come through; nothing else changes.
func TestMaskProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`[0-9]{12,17}`).Draw(t, "digits")
		card := digits + checkDigit(digits)
		before := rapid.StringMatching(`([^0-9]{0,20}[^0-9])?`).Draw(t, "before")
		after := rapid.StringMatching(`([^0-9][^0-9]{0,20})?`).Draw(t, "after")

		got := Mask(before + card + after)
		stars := strings.Repeat("*", len(card)-10)
		if want := before + card[:6] + stars + card[len(card)-4:] + after; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if Mask(got) != got {
			t.Fatalf("masking twice changes %q", got)
		}
	})
}

// checkDigit finds the digit by trying, so it shares no arithmetic with the code under test but the sum itself.
func checkDigit(digits string) string {
	for c := '0'; c <= '9'; c++ {
		sum := 0
		for i, d := range digits + string(c) {
			v := int(d - '0')
			if (len(digits)-i)%2 == 1 {
				v = []int{0, 2, 4, 6, 8, 1, 3, 5, 7, 9}[v]
			}
			sum += v
		}
		if sum%10 == 0 {
			return string(c)
		}
	}
	panic("no check digit")
}

// The groups in which a card number is written keep none of its middle digits either.
func TestMaskGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.SampledFrom(groupings).Draw(t, "groups")
		between := rapid.SampledFrom([]string{" ", "-", "."}).Draw(t, "between")
		count := 0
		for _, n := range groups {
			count += n
		}
		digits := rapid.StringMatching(`[0-9]{`+strconv.Itoa(count-1)+`}`).Draw(t, "digits")
		card := digits + checkDigit(digits)
		want := card[:6] + strings.Repeat("*", count-10) + card[count-4:]
		grouped := func(text string) string {
			var parts []string
			for _, n := range groups {
				parts = append(parts, text[:n])
				text = text[n:]
			}
			return strings.Join(parts, between)
		}
		before := rapid.StringMatching(`([^0-9]{0,20}[^0-9A-Za-z])?`).Draw(t, "before")
		after := rapid.StringMatching(`([,;:!][^0-9]{0,20})?`).Draw(t, "after")
		if got := Mask(before + grouped(card) + after); got != before+grouped(want)+after {
			t.Fatalf("%q: got %q", before+grouped(card)+after, got)
		}
	})
}
