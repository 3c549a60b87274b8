package cmsclient

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestRedact(t *testing.T) {
	key := strings.Repeat("a1B_", 12) + "!" + strings.Repeat("0f3d", 12)
	cases := map[string]struct{ in, want string }{
		"plain": {"Contract with id 99999 not found.", "Contract with id 99999 not found."},
		"card number": {"Contract with id 4111111111111111 not found.",
			"Contract with id 411111******1111 not found."},
		"URL":                      {"see https://api.example/contracts/1?x=y now", "see [redacted] now"},
		"URL, encoded":             {"GET&https%3A%2F%2Fapi.example%2Fx&a more", "GET&[redacted] more"},
		"URL, encoded twice":       {"GET https%253A%252F%252Fapi.example%252Fx more", "GET [redacted] more"},
		"URL with a space":         {"GET https://api.example/a%20b?c=d more", "GET [redacted] more"},
		"URL of JSON":              {`at https:\/\/api.example\/x now`, "at [redacted] now"},
		"URL of HTML":              {"at https:&#x2F;&#47;api.example&#32;x now", "at [redacted] now"},
		"URL over lines":           {"at https://api.exa\r\n\tmple/x now", "at [redacted] now"},
		"OAuth parameter":          {"bad oauth_consumer_key=abc, rest", "bad [redacted]"},
		"reason code":              {"INVALID_OAUTH_SBS", "INVALID_OAUTH_SBS"},
		"consumer key, named":      {"Consumer Key abc is unknown", "[redacted]"},
		"base string":              {"wrong. Acceptable signature base string: GET&", "wrong. Acceptable [redacted]"},
		"header":                   {"sent Authorization: OAuth abc", "sent [redacted]"},
		"header of JSON":           {`sent {"Authorization":"Basic YTpi"}`, `sent {"[redacted]`},
		"header after a URL":       {"GET https://x/Authorization: Basic YTpi", "GET [redacted]"},
		"key":                      {"unknown " + key + ".", "unknown [redacted]."},
		"key, encoded":             {"unknown " + url.QueryEscape(key) + ".", "unknown [redacted]."},
		"key, cut off":             {"unknown " + key[:60], "unknown [redacted]"},
		"key, its end":             {"unknown " + key[40:], "unknown [redacted]"},
		"key of JSON":              {"unknown " + strings.Replace(key, "!", `\u0021`, 1), "unknown [redacted]"},
		"key over lines":           {"unknown " + key[:20] + "\n " + key[20:55] + "\x00" + key[55:], "unknown [redacted]"},
		"key, zero-width space":    {"unknown " + key[:20] + "\u200b" + key[20:], "unknown [redacted]"},
		"escapes without a secret": {`50%25 of \u0041 &amp; so on`, `50%25 of \u0041 &amp; so on`},
		"exclamation": {"Contract not found! Nothing more is known about it.",
			"Contract not found! Nothing more is known about it."},
		"kid":              {"no key for " + strings.Repeat("0f3d", 16), "no key for " + strings.Repeat("0f3d", 16)},
		"lines":            {"two\nlines\x00", "two lines "},
		"bad UTF-8":        {"bad \xff\xfe UTF-8", "bad UTF-8"},
		"escaped for ever": {strings.Repeat(`\`, 2000), "[redacted]"},
		"too long":         {strings.Repeat("a", maxRedactable+1), "[redacted]"},
		"empty":            {"", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := redact(c.in, maxDescription); got != c.want {
				t.Errorf("redact(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
	if got := redact(strings.Repeat("é", 1000), 511); len(got) != 510 || !utf8.ValidString(got) {
		t.Errorf("cut to %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}

// The wordings of Mastercard's gateway, from the issues of its OAuth libraries, with the key and address of a test.
func TestRefusalDoesNotLeak(t *testing.T) {
	const key = "WFQHgP6gI01ZxbpqUzdWQ_GpDVrym3dhY6Q9X3PZe4ba3850!3b9f3d6593d04a0cbefadaf8bb3975fb0000000000000000"
	const where = "https://secret.example/global-processing/core/contracts/70001/balances"
	params := "balance_codes=AVAILABLE%2CBLOCKED&oauth_body_hash=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=&oauth_consumer_key=" + key +
		"&oauth_nonce=1111111111111111&oauth_signature_method=RSA-SHA256&oauth_timestamp=1111111111&oauth_version=1.0"
	base := "GET&" + url.QueryEscape(where) + "&" + url.QueryEscape(params)
	for name, description := range map[string]string{
		"signature":       "OAuth signatures did not match. Acceptable signature base string: " + base,
		"verification":    "OAuth Signature parameter failed verification. Acceptable signature base string: " + base,
		"plain":           "OAuth signatures did not match for " + where + "?" + params,
		"plain, reversed": "OAuth signatures did not match for " + key + " at " + where,
		"encoded":         "OAuth signatures did not match: " + base,
		"encoded twice":   "OAuth signatures did not match: " + url.QueryEscape(base),
		"base string":     "Problem with signature base string. Missing oauth_consumer_key " + key,
		"over lines":      "Acceptable signature\nbase\nstring:\n" + strings.Join(strings.SplitAfter(base, "0"), "\r\n  "),
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{"Errors": map[string]any{"Error": []any{map[string]any{
				"Source": "Gateway " + where, "ReasonCode": "AUTHENTICATION_FAILED " + key, "Description": description,
			}}}})
			if err != nil {
				t.Fatal(err)
			}
			cfg := testConfig("http://cms.test")
			cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return reply(401, string(body)), nil })
			c := newTestClient(t, cfg, nil)
			_, err = ask(t.Context(), c, 1)
			text := fmt.Sprintf("%v %+v %s", err, err, c.Status().HaltedError)
			for _, part := range []string{"WFQHgP6g", "e4ba3850", "3b9f3d65", "00000000", "secret", "70001", "nonce"} {
				if strings.Contains(text, part) {
					t.Errorf("%q is in %q", part, text)
				}
			}
			if !strings.Contains(text, "check the keys") {
				t.Errorf("no advice in %q", text)
			}
		})
	}
}

// covers are ways in which a secret may be written in a text.
var covers = map[string]func(string) string{
	"JSON":    func(s string) string { b, _ := json.Marshal(s); return string(b[1 : len(b)-1]) },
	"HTML":    html.EscapeString,
	"percent": func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
	"solidus": strings.NewReplacer("/", `\/`).Replace,
	"all percent": func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, "%%%02x", c)
		}
		return b.String()
	},
	"all JSON": func(s string) string {
		var b strings.Builder
		for _, c := range s {
			fmt.Fprintf(&b, `\u%04X`, c)
		}
		return b.String()
	},
}

// splits are what a line may be broken by; escapedSplits are the same in a text before it is covered (within an escape,
// they would only break that).
var (
	splits        = []string{"\n", "\r\n", "\r\n    ", "\t", "\x00", "\x1b", " \n ", "\u2028", "\u0085", "\u200b"}
	escapedSplits = append([]string{`\n`, `\r\n`, "%0A", "%250a", "&#10;"}, splits...)
)

// Wherever a secret is planted, in whatever form and however it is broken up, nothing that matters of it comes out.
func TestRedactProperty(t *testing.T) {
	word := rapid.OneOf(
		rapid.StringMatching(`[ -~]{0,12}`),
		rapid.SampledFrom([]string{" ", "%", `\`, `\u`, "&", "%25", "unknown key ", "GET&", `{"Description":"`, "\n", "é",
			"!", "="}),
	)
	prose := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(word, 0, 4).Draw(t, "words"), "") })
	half := rapid.StringMatching(`[A-Za-z0-9_-]{48}`)
	names := make([]string, 0, len(covers))
	for name := range covers {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		left, right := half.Draw(t, "left"), half.Draw(t, "right")
		address := "https://secret-host.example:8443/core/contracts/70001/balances?balance_codes=AVAILABLE%2CTOTAL%20DUE"
		text := rapid.SampledFrom([]string{
			left + "!" + right,
			address,
			"GET&" + url.QueryEscape(address) + "&oauth_consumer_key%3D" + left + "%21" + right,
			`Authorization: OAuth oauth_consumer_key="` + left + "!" + right + `",oauth_signature="` + right + `"`,
			`{"authorization": "Basic ` + left + `"}`,
		}).Draw(t, "secret")
		breakUp := func(splits []string) {
			places := rapid.SliceOfNDistinct(rapid.IntRange(0, len(text)), 0, 3, rapid.ID).Draw(t, "places")
			slices.Sort(places)
			for _, at := range slices.Backward(places) {
				text = text[:at] + rapid.SampledFrom(splits).Draw(t, "split") + text[at:]
			}
		}
		breakUp(escapedSplits)
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "covers") {
			if len(text) < 2000 {
				text = covers[name](text)
			}
		}
		breakUp(splits)
		text = prose.Draw(t, "before") + text + prose.Draw(t, "after")
		got := redact(text, maxDescription)
		shown := got
		if plain, ok := uncovered(got); ok {
			shown += " " + plain
		}
		for _, fragment := range append(pieces(left),
			append(pieces(right), "secret-host", "70001", "balance_codes", "DUE")...) {
			if strings.Contains(shown, fragment) {
				t.Fatalf("%q of the secret survives in %q\nfrom %q", fragment, got, text)
			}
		}
	})
}

// pieces are parts of half a key, long enough to tell something.
func pieces(s string) []string {
	const length = 12
	all := make([]string, 0, len(s))
	for i := range len(s) - length {
		all = append(all, s[i:i+length])
	}
	return all
}

func FuzzRedact(f *testing.F) {
	const key = "WFQHgP6gI01ZxbpqUzdWQ_GpDVrym3dhY6Q9X3PZe4ba3850!3b9f3d6593d04a0cbefadaf8bb3975fb0000000000000000"
	f.Add("unknown ", " rest")
	f.Add(`{"a":"\`, `\"}`)
	f.Add("%", "%25")
	f.Add("&", ";")
	f.Add("https%3A%2F%2F\n", "\x00")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, text := range []string{before + key + after, before + url.QueryEscape(key) + after, before + after} {
			got := redact(text, maxDescription)
			if len(got) > maxDescription || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
				t.Errorf("bad text %q", got)
			}
			if strings.Contains(got, key[10:30]) || strings.Contains(got, key[60:80]) {
				t.Errorf("the key survives in %q", got)
			}
			if hide(got) != got {
				t.Errorf("unredacted text %q", got)
			}
		}
	})
}
