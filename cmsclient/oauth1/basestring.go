package oauth1

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// param is a parameter of the query or of OAuth, as it is on the wire.
type param struct{ name, value string }

// queryParams splits a query and leaves its text as it is. RFC 5849 §3.4.1.3 would decode and encode it again; the
// gateway verifies against the wire text (github.com/Mastercard/oauth1-signer-java issue 12): %2C is signed as %252C, a
// comma as %2C. A parameter without = has an empty value.
func queryParams(raw string) []param {
	params := make([]param, 0, 8) // what one balance query has, OAuth's included
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			params = append(params, param{name, value})
		}
	}
	return params
}

// paramString sorts params by name, then value, and joins them (RFC 5849 §3.4.1.3.2).
func paramString(params []param) string {
	slices.SortFunc(params, func(a, b param) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	out := make([]byte, 0, 512)
	for i, p := range params {
		if i > 0 {
			out = append(out, '&')
		}
		out = append(out, p.name...)
		out = append(out, '=')
		out = append(out, p.value...)
	}
	return string(out)
}

// baseURL returns the base string URI (RFC 5849 §3.4.1.2): scheme and Host in lower case, without the scheme's own
// port, and the path as it is on the wire.
func baseURL(r *http.Request) string {
	scheme := strings.ToLower(r.URL.Scheme)
	host := strings.ToLower(cmp.Or(r.Host, r.URL.Host)) // as http.Request.Write chooses the Host header
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host + cmp.Or(r.URL.EscapedPath(), "/")
}

// baseString returns what is signed (RFC 5849 §3.4.1.1).
func baseString(method, address, params string) []byte {
	method = strings.ToUpper(cmp.Or(method, http.MethodGet)) // an empty method is GET to http.Request
	return []byte(method + "&" + escaped(address) + "&" + escaped(params))
}

// escaped returns s in percent-encoding (RFC 3986 §2.1 and §2.3): a space is %20.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
