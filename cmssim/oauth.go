package cmssim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// parameter is one name and value as they stand on the wire, escapes included.
type parameter struct{ name, value string }

// signedParameters are what a signed request must say about itself (RFC 5849 §3.1, and the body hash extension, which
// Mastercard wants for requests without a body too). oauth_consumer_key has an error of its own.
var signedParameters = []string{
	"oauth_body_hash", "oauth_nonce", "oauth_signature", "oauth_signature_method", "oauth_timestamp",
}

// authorization reads the parameters of the request's only Authorization header, of scheme OAuth (RFC 5849 §3.5.1). It
// reports false if there is none, or one that is not exactly in that form: a name twice, a value without quotes, …
func authorization(h http.Header) ([]parameter, bool) {
	values := h["Authorization"]
	if len(values) != 1 {
		return nil, false
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "OAuth") {
		return nil, false
	}
	var list []parameter
	for more := true; more; {
		name, quoted, ok := strings.Cut(strings.Trim(rest, " \t"), `="`)
		if !ok || name == "" || strings.ContainsAny(name, "\", \t") || has(list, name) {
			return nil, false
		}
		value, after, ok := strings.Cut(quoted, `"`)
		if !ok {
			return nil, false
		}
		list = append(list, parameter{name, value})
		var between string
		if between, rest, more = strings.Cut(after, ","); strings.Trim(between, " \t") != "" {
			return nil, false
		}
	}
	return list, true
}

func has(list []parameter, name string) bool {
	return slices.ContainsFunc(list, func(p parameter) bool { return p.name == name })
}

// valueOf returns the value of the first parameter of that name as it stands on the wire, "" if there is none.
func valueOf(list []parameter, name string) string {
	for _, p := range list {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// signatureBase returns the signature base string (RFC 5849 §3.4.1) of the request as it came over the wire. Unlike the
// RFC, Mastercard's gateway does not normalize the escapes of query and header before it escapes them once more: a raw
// comma is signed as %2C, a %2C as %252C.
func signatureBase(r *http.Request, oauth []parameter) string {
	base, query := wireURL(r)
	list := make([]parameter, 0, 8+len(oauth))
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(pair, "="); pair != "" {
			list = append(list, parameter{name, value})
		}
	}
	for _, p := range oauth {
		if p.name != "oauth_signature" && p.name != "realm" {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b parameter) int {
		if byName := strings.Compare(a.name, b.name); byName != 0 {
			return byName
		}
		return strings.Compare(a.value, b.value)
	})
	var joined strings.Builder
	for i, p := range list {
		if i > 0 {
			joined.WriteByte('&')
		}
		joined.WriteString(p.name + "=" + p.value)
	}
	return strings.ToUpper(r.Method) + "&" + escape(base) + "&" + escape(joined.String())
}

// wireURL returns the base string URI (RFC 5849 §3.4.1.2) and the query of the request line, in origin form or, as
// proxies get it, in absolute form.
func wireURL(r *http.Request) (base, query string) {
	scheme, defaultPort := "http", ":80"
	if r.TLS != nil {
		scheme, defaultPort = "https", ":443"
	}
	target, query, _ := strings.Cut(r.RequestURI, "?")
	if absolute, err := url.Parse(target); err == nil && absolute.IsAbs() {
		target = absolute.EscapedPath()
	}
	if target == "" {
		target = "/"
	}
	return scheme + "://" + strings.TrimSuffix(strings.ToLower(r.Host), defaultPort) + target, query
}

// escape is the percent-encoding of RFC 5849 §3.6: of every byte that is not unreserved in RFC 3986, in upper-case hex.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	out.Grow(len(s) + len(s)/2)
	for _, b := range []byte(s) {
		switch {
		case 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '.', b == '_', b == '~':
			out.WriteByte(b)
		default:
			out.Write([]byte{'%', digits[b>>4], digits[b&15]})
		}
	}
	return out.String()
}
