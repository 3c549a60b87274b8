package cmsclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/schemas"
)

// decodeText has it decoded in both ways: what is read as plain text is read in the same way as JSON.
func decodeText(text string, wanted ...string) ([]schemas.Balance, error) {
	got, err := decodeBalances(jsontext.NewDecoder(bytes.NewBufferString(text)), wanted)
	if plainly, ok := plainBalances([]byte(text), wanted); ok && (err != nil || !slices.Equal(plainly, got)) {
		return nil, fmt.Errorf("read as %+v where it is plain; else as %+v, %w", plainly, got, err)
	}
	return got, err
}

func balances(elements string) string { return `{"contractBalances":[` + elements + `]}` }

func TestDecodeBalances(t *testing.T) {
	available := schemas.Balance{Code: "A", ID: "1"}
	cases := map[string]struct {
		text string
		want []schemas.Balance
	}{
		"documented": {goodBody, []schemas.Balance{{Code: "AVAILABLE", ID: "89516416", Currency: "EUR", Value: "9811.31"}}},
		"empty":      {balances(""), nil},
		"exact digits": {
			balances(`{"balanceCode":"A","balanceId":999999999999999999,"balanceValue":-999999999999999999.9999}`),
			[]schemas.Balance{{Code: "A", ID: "999999999999999999", Value: "-999999999999999999.9999"}},
		},
		"trailing zeros stay": {
			balances(`{"balanceCode":"A","balanceId":1,"balanceValue":10.5000}`),
			[]schemas.Balance{{Code: "A", ID: "1", Value: "10.5000"}},
		},
		"exponent": {
			balances(`{"balanceCode":"A","balanceId":1,"balanceValue":1.25E+3}`),
			[]schemas.Balance{{Code: "A", ID: "1", Value: "1250"}},
		},
		"optional absent": {balances(`{"balanceId":1,"balanceCode":"A"}`), []schemas.Balance{available}},
		"optional null": {
			balances(`{"balanceCode":"A","balanceId":1,"balanceCurrency":null,"balanceValue":null}`),
			[]schemas.Balance{available},
		},
		"unknown members": {
			`{"x":{"y":[1,{"z":null}]},"contractBalances":[{"balanceCode":"A","new":[{}],"balanceId":1}],"page":1}`,
			[]schemas.Balance{available},
		},
		"not asked for": {balances(`{"balanceCode":"Z","balanceId":2},{"balanceCode":"A","balanceId":1}`),
			[]schemas.Balance{available}},
		"escapes": {"{\"contract\\u0042alances\":[{\"balanceCode\":\"\\u0041\",\"balanceId\":1}]}",
			[]schemas.Balance{available}},
		"32 characters": {balances(`{"balanceCode":"` + strings.Repeat("é", 32) + `","balanceId":1}`), nil},
		"white space":   {" \r\n" + balances(`{"balanceCode":"A","balanceId":1}`) + "\n ", []schemas.Balance{available}},
		"repeated codes": {
			balances(`{"balanceCode":"A","balanceId":1},{"balanceCode":"A","balanceId":1}`),
			[]schemas.Balance{available, available},
		},
		"order of theirs": {
			balances(`{"balanceCode":"AVAILABLE","balanceId":3},{"balanceCode":"A","balanceId":1}`),
			[]schemas.Balance{{Code: "AVAILABLE", ID: "3"}, available},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := decodeText(c.text, "A", "AVAILABLE")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDecodeBalancesRefuses(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"nothing":          {"", "EOF"},
		"not JSON":         {"<html>", "invalid character"},
		"not an object":    {"[]", "not an object"},
		"null":             {"null", "not an object"},
		"no array":         {"{}", "contractBalances is missing"},
		"other case":       {`{"ContractBalances":[]}`, "contractBalances is missing"},
		"null array":       {`{"contractBalances":null}`, "not an array"},
		"object for array": {`{"contractBalances":{}}`, "not an array"},
		"element kind":     {balances("1"), "element 0: not an object"},
		"no code":          {balances(`{"balanceId":1}`), "balanceCode is missing"},
		"null code":        {balances(`{"balanceCode":null,"balanceId":1}`), "balanceCode: not a string"},
		"empty code":       {balances(`{"balanceCode":"","balanceId":1}`), "balanceCode: not 1 to 32"},
		"long code": {balances(`{"balanceCode":"` + strings.Repeat("é", 33) + `","balanceId":1}`),
			"balanceCode: not 1 to 32"},
		"no id":         {balances(`{"balanceCode":"A"}`), "balanceId is missing"},
		"null id":       {balances(`{"balanceCode":"A","balanceId":null}`), "balanceId: not a number"},
		"id as text":    {balances(`{"balanceCode":"A","balanceId":"1"}`), "balanceId: not a number"},
		"id 0":          {balances(`{"balanceCode":"A","balanceId":0}`), "balanceId: not an integer"},
		"id too large":  {balances(`{"balanceCode":"A","balanceId":1000000000000000000}`), "balanceId: not an integer"},
		"negative id":   {balances(`{"balanceCode":"A","balanceId":-1}`), "balanceId: not an integer"},
		"fractional id": {balances(`{"balanceCode":"A","balanceId":1.0}`), "balanceId: not an integer"},
		"exponent id":   {balances(`{"balanceCode":"A","balanceId":1e3}`), "balanceId: not an integer"},
		"currency length": {balances(`{"balanceCode":"A","balanceId":1,"balanceCurrency":"EURO"}`),
			"balanceCurrency: not 3 letters"},
		"currency digits": {balances(`{"balanceCode":"A","balanceId":1,"balanceCurrency":"978"}`),
			"balanceCurrency: not 3 letters"},
		"value as text": {balances(`{"balanceCode":"A","balanceId":1,"balanceValue":"1"}`),
			"balanceValue: not a number"},
		"value too long": {balances(`{"balanceCode":"A","balanceId":1,"balanceValue":1e40}`), "more than 40 characters"},
		"bad unasked": {balances(`{"balanceCode":"A","balanceId":1},{"balanceCode":"Z"}`),
			"element 1: balanceId is missing"},
		"duplicate name":     {balances(`{"balanceCode":"A","balanceId":1,"balanceId":2}`), "duplicate"},
		"duplicate array":    {`{"contractBalances":[],"contractBalances":[]}`, "duplicate"},
		"duplicate, escaped": {"{\"contractBalances\":[],\"contract\\u0042alances\":[]}", "duplicate"},
		"duplicate, nested":  {`{"x":{"a":1,"a":2},"contractBalances":[]}`, "duplicate"},
		"trailing data":      {balances("") + " {}", "after the JSON value"},
		"trailing rubbish":   {balances("") + " x", "after the JSON value"},
		"bad UTF-8":          {balances("{\"balanceCode\":\"A\xff\",\"balanceId\":1}"), "UTF-8"},
		"lone surrogate":     {balances(`{"balanceCode":"\ud800","balanceId":1}`), "surrogate"},
		"ends in the array":  {`{"contractBalances":[{"balanceCode":"A","balanceId":1}`, "EOF"},
		"ends in an element": {`{"contractBalances":[{"balanceCode":"A","bala`, "EOF"},
		"comma":              {`{"contractBalances":[{"balanceCode":"A","balanceId":1},]}`, "invalid character"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := decodeText(c.text, "A")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, error %v; want an error with %q", got, err, c.want)
			}
			if strings.HasPrefix(name, "ends") && !endsEarly(err) {
				t.Errorf("%v does not tell that the text ends early", err)
			}
		})
	}
}

// What the CMS writes is plain, and an envelope is not.
func TestPlainBalances(t *testing.T) {
	for text, want := range map[string]bool{
		goodBody:                   true,
		balances(""):               true,
		`{"contractBalances": []}`: true,
		balances(`{"balanceCode":"AVAILABLE","balanceId":1},{"balanceId":2,"balanceValue":-0.5,"balanceCode":"B"}`): true,
		`{"encryptedData":"e"}`:                       false,
		`{"contractBalances":[],"encryptedData":"e"}`: false,
		`{"encryptedData":"e","contractBalances":[]}`: false,
	} {
		if got, ok := plainBalances([]byte(text), []string{"AVAILABLE"}); ok != want {
			t.Errorf("%s: %+v, %v, want %v", text, got, ok, want)
		}
	}
}

// The names of members are the sender's, and not for a log.
func TestAnswerErrorsHoldNoNames(t *testing.T) {
	for _, text := range []string{`{"contractBalances":[{"hunter2":[}]}`, `{"hunter2":1,"hunter2":2}`,
		`{"x":{"hunter2":[1,]}}`} {
		if _, err := decodeText(text, "A"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPlainDecimal(t *testing.T) {
	cases := map[string]string{
		"0": "0", "-0": "-0", "12.50": "12.50", "1e0": "1", "1E3": "1000", "1.5e1": "15", "1.50e1": "15.0", "1e-2": "0.01",
		"-12.34e-3": "-0.01234", "0.05e1": "0.5", "0.05e2": "5", "0e3": "0", "0.00e1": "0.0", "123456789e-4": "12345.6789",
		"9e039": "9" + strings.Repeat("0", 39), "1e40": "", "1e-39": "", "1e-38": "0." + strings.Repeat("0", 37) + "1",
		"1e999999999999999999999": "", "1e-99999999999": "", strings.Repeat("1", 40): strings.Repeat("1", 40),
		strings.Repeat("1", 41): "",
	}
	for in, want := range cases {
		if got, err := plainDecimal(in); got != want || (err == nil) != (want != "") {
			t.Errorf("plainDecimal(%s) = %q, %v; want %q", in, got, err, want)
		}
	}
}

var plain = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

func TestPlainDecimalKeepsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		got, err := plainDecimal(number)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(number)
		have, ok2 := new(big.Rat).SetString(got)
		if !ok || !ok2 || want.Cmp(have) != 0 {
			t.Fatalf("%s became %s", number, got)
		}
		if !plain.MatchString(got) || len(got) > maxAmount {
			t.Fatalf("%s became %s, which is not plain", number, got)
		}
	})
}

func FuzzDecodeBalances(f *testing.F) {
	f.Add([]byte(goodBody))
	f.Add([]byte(balances("")))
	f.Add([]byte(" { \"contractBalances\" : [ { \"balanceId\" : 10 ,\"balanceCode\":\"A\"} , " +
		"{\"balanceCode\":\"AVAILABLE\",\n\"balanceValue\":-0.50,\"balanceCurrency\":\"eur\",\"balanceId\":7}\t]\r} "))
	f.Add([]byte(balances(`{"balanceCode":"AVAILABLE","balanceId":1,"balanceValue":-1.5e-3,"x":{"y":[null,true]}}`)))
	f.Add([]byte(balances(`{"balanceCode":"A","balanceId":999999999999999999,"balanceCurrency":null}`)))
	f.Add([]byte("{\"contract\\u0042alances\":[{}]}"))
	f.Add([]byte(`{"contractBalances":[{"balanceCode":"A","bala`))
	f.Fuzz(func(t *testing.T, data []byte) {
		wanted := []string{"A", "AVAILABLE"}
		got, err := decodeText(string(data), wanted...)
		if err != nil {
			if got != nil || strings.HasPrefix(err.Error(), "read as") {
				t.Errorf("%+v beside the error %v", got, err)
			}
			return
		}
		if !jsontext.Value(data).IsValid() {
			t.Error("accepted what is not strict JSON")
		}
		for _, b := range got {
			if !slices.Contains(wanted, b.Code) || !regexp.MustCompile(`^[1-9][0-9]{0,17}$`).MatchString(b.ID) {
				t.Errorf("wrong balance %+v", b)
			}
			if b.Value != "" && (!plain.MatchString(b.Value) || len(b.Value) > maxAmount) {
				t.Errorf("value %q is not a plain decimal", b.Value)
			}
		}
	})
}

// A body is decoded the same way whatever was in the pooled buffer before.
func TestBodyIsReusable(t *testing.T) {
	b := newBody()
	for _, text := range []string{`{"broken`, goodBody, balances("") + "x", goodBody} {
		if err := b.read(strings.NewReader(text), 1<<20); err != nil {
			t.Fatal(err)
		}
		got, err := decodeBalances(b.decoder(), []string{"AVAILABLE"})
		if (text == goodBody) != (err == nil && len(got) == 1) {
			t.Errorf("%.20s: %v, %v", text, got, err)
		}
		b.reset()
	}
	if err := b.read(io.LimitReader(strings.NewReader(goodBody), 11), 10); !errors.Is(err, errTooLarge) {
		t.Errorf("11 bytes with a limit of 10: %v", err)
	}
	b.reset() // with bytes that were not decoded
	if err := b.read(strings.NewReader("{}"), 2); err != nil || b.buffer.String() != "{}" {
		t.Errorf("2 bytes with a limit of 2: %v, %q", err, &b.buffer)
	}
}

func BenchmarkDecodeBalances(b *testing.B) {
	text := []byte(balances(`{"balanceCode":"AVAILABLE","balanceCurrency":"EUR","balanceId":89516416,"balanceValue":9811.31},` +
		`{"balanceCode":"BLOCKED","balanceCurrency":"EUR","balanceId":89516417,"balanceValue":9811.31}`))
	wanted := []string{"AVAILABLE", "BLOCKED"}
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := plainBalances(text, wanted); !ok {
				b.Fatal("it is plain")
			}
		}
	})
	b.Run("any", func(b *testing.B) {
		b.ReportAllocs()
		in := newBody()
		for b.Loop() {
			in.reset()
			in.buffer.Write(text)
			if _, err := decodeBalances(in.decoder(), wanted); err != nil {
				b.Fatal(err)
			}
		}
	})
}
