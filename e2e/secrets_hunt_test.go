package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// piece is how much of a secret must come out to be noticed wherever it was cut: this and a half of it, in bytes.
const piece = 16

// hunt looks for secrets in texts: in whole or in part, and in the forms in which they come out by accident.
type hunt struct {
	pieces map[string]string // name and form, by piece
	wholes map[string]string // the same, by text; for what has innocent parts
	likely []bool            // by slot: whether there may be such a piece; most places of a text need no other look
}

func newHunt() *hunt { return &hunt{map[string]string{}, map[string]string{}, make([]bool, 1<<24)} }

// slot is a hash of the piece that text begins with.
func slot(text string) uint32 {
	hash := uint32(2166136261)
	for i := range piece / 2 {
		hash = (hash ^ uint32(text[i])) * 16777619
	}
	return hash >> 8
}

// forms returns a secret in all of its forms, by name.
func forms(secret string) map[string]string {
	once := map[string]string{
		"plain": secret, "JSON": inJSON(secret), "HTML": html.EscapeString(secret),
		"query": url.QueryEscape(secret), "path": url.PathEscape(secret),
		"Go": strings.Trim(strconv.Quote(secret), `"`), "ASCII": strings.Trim(strconv.QuoteToASCII(secret), `"`),
	}
	all := map[string]string{}
	for name, text := range once {
		all[name] = text
		all[name+" in query"] = url.QueryEscape(text)
		all[name+" in JSON"] = inJSON(text)
	}
	for skipped := range min(3, len(secret)) { // how Base64 looks depends on what is in front, modulo 3
		whole := secret[skipped : skipped+(len(secret)-skipped)/3*3]
		text := base64.StdEncoding.EncodeToString([]byte(whole))
		all[fmt.Sprint("Base64 from ", skipped)] = text
		all[fmt.Sprint("Base64 from ", skipped, " in query")] = url.QueryEscape(text)
		all[fmt.Sprint("Base64 of URLs from ", skipped)] = base64.URLEncoding.EncodeToString([]byte(whole))
	}
	return all
}

func inJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return text // cannot be: it is a string
	}
	return string(quoted[1 : len(quoted)-1])
}

// add looks for a secret of at least 16 bytes.
func (h *hunt) add(name, secret string) {
	if len(squeeze(secret)) < piece {
		panic("too short to be searched for: " + name)
	}
	known := map[string]bool{} // many forms of a plain text are the same
	for form, text := range forms(secret) {
		if text = squeeze(text); known[text] {
			continue
		}
		known[text] = true
		note := func(at int) {
			h.pieces[text[at:at+piece]] = name + ", " + form
			h.likely[slot(text[at:])] = true
		}
		for at := 0; at+piece <= len(text); at += piece / 2 {
			note(at)
		}
		if len(text) >= piece {
			note(len(text) - piece)
		}
	}
}

// addWhole looks for a text whose parts are no secrets.
func (h *hunt) addWhole(name, text string) {
	for form, text := range forms(text) {
		h.wholes[squeeze(text)] = name + ", " + form
	}
}

var lineEnd = regexp.MustCompile(`\\+[nrt]|%(25)*0[AaDd9]`)

// squeeze takes away whitespace, which may come between the parts of a secret.
func squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// find returns what it finds, each secret once with what is around it.
func (h *hunt) find(text string) []string {
	found := map[string]string{}
	views := []string{squeeze(text)}
	if lineEnd.MatchString(views[0]) {
		views = append(views, lineEnd.ReplaceAllLiteralString(views[0], ""))
	}
	for _, view := range views {
		note := func(at, length int, name string) {
			if secret, _, _ := strings.Cut(name, ","); found[secret] == "" {
				found[secret] = fmt.Sprintf("%s: …%.*q…", name, length+300, view[max(0, at-150):])
			}
		}
		for at := 0; at+piece <= len(view); at++ {
			if h.likely[slot(view[at:])] {
				if name, is := h.pieces[view[at:at+piece]]; is {
					note(at, piece, name)
				}
			}
		}
		for whole, name := range h.wholes {
			if at := strings.Index(view, whole); at >= 0 {
				note(at, len(whole), name)
			}
		}
	}
	var all []string
	for _, text := range found {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// The hunt finds what is there, in all forms, and nothing else. Without this the tests that hunt would mean nothing.
func TestHuntFindsSecrets(t *testing.T) {
	h := newHunt()
	secrets := []string{consumerKey, armouredPassword, cardNumber(7), "\x00\xff\x80 binary \n key material"}
	for i, secret := range secrets {
		h.add(fmt.Sprint("secret ", i), secret)
	}
	const address = "https://0.0.0.0:1/global-processing/core/contracts/"
	h.addWhole("address", address)
	carriers := map[string]func(string) string{
		"bare":          func(s string) string { return s },
		"URL":           url.QueryEscape,
		"path":          url.PathEscape,
		"URL twice":     func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
		"log line":      func(s string) string { return `{"error":"` + inJSON("no: "+s) + `"}` },
		"JSON twice":    func(s string) string { return inJSON(`{"error":"` + inJSON(s) + `"}`) },
		"quoted":        func(s string) string { return inJSON(fmt.Sprintf("bad %q", s)) },
		"quoted ASCII":  func(s string) string { return fmt.Sprintf("bad %+q", s) },
		"HTML":          html.EscapeString,
		"URL in JSON":   func(s string) string { return inJSON(url.QueryEscape(s)) },
		"Base64":        func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"Base64 later":  func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+s)) },
		"Base64 latest": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("user22" + s + "!")) },
		"in lines":      func(s string) string { return apart(s, "\r\n  ") },
		"in JSON lines": func(s string) string { return inJSON(apart(s, "\n")) },
		"PEM":           func(s string) string { return inJSON(apart(base64.StdEncoding.EncodeToString([]byte(s)), "\n")) },
	}
	for name, carry := range carriers {
		if got := h.find(carry(address + "70001")); len(got) != 1 && !strings.Contains(name, "Base64") && name != "PEM" {
			t.Errorf("%s, address: found %q", name, got)
		}
		for i, secret := range secrets {
			text := strings.Repeat("what else there is; ", 50) + carry(secret) + " and so on"
			if got := h.find(text); len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprint("secret ", i, ",")) {
				t.Errorf("%s, secret %d: found %q", name, i, got)
			}
		}
	}
	for cut := range len(consumerKey) - 24 {
		if len(h.find(consumerKey[cut:cut+24])) != 1 {
			t.Errorf("24 characters of the consumer key from %d are not found", cut)
		}
	}
	innocent := `{"level":"error","detail":"Contract with id 411111******1117 not found: [redacted]",` +
		`"url":"https://0.0.0.0:1/global-processing/core",` +
		`"contract":"/contracts/70001/balances?balance_codes=AVAILABLE","card":"4111 11** **** 1117"} [redacted] MIIE 100% sure`
	if got := h.find(innocent); len(got) != 0 {
		t.Errorf("found in an innocent text: %q", got)
	}
}

// apart puts sep after every seventh byte of what is left of s without whitespace.
func apart(s, sep string) string {
	var b strings.Builder
	for part := range slices.Chunk([]byte(squeeze(s)), 7) {
		b.Write(part)
		b.WriteString(sep)
	}
	return b.String()
}
