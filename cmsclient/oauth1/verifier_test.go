package oauth1

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The verifier is a gateway: it knows the text on the wire and the public key, and shares no code with the signer.

// failer is testing.TB or rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

var headerField = regexp.MustCompile(`^(oauth_[a-z_]+)="([^"]*)"$`)

// parseHeader returns the fields as they are written; only the signature is unescaped.
func parseHeader(t failer, header string) map[string]string {
	t.Helper()
	list, ok := strings.CutPrefix(header, "OAuth ")
	if !ok {
		t.Fatalf("Authorization is %q", header)
	}
	fields := map[string]string{}
	for _, part := range strings.Split(list, ",") {
		match := headerField.FindStringSubmatch(strings.TrimSpace(part))
		if match == nil || fields[match[1]] != "" {
			t.Fatalf("a field of the header is %q", part)
		}
		fields[match[1]] = match[2]
	}
	signature, err := url.PathUnescape(fields["oauth_signature"])
	if err != nil {
		t.Fatalf("the signature is not escaped: %v", err)
	}
	if strings.ContainsAny(fields["oauth_signature"], "+/=") {
		t.Fatalf("the signature is not escaped: %q", fields["oauth_signature"])
	}
	fields["oauth_signature"] = signature
	return fields
}

// verifyWire reads the request from the wire, checks every field and the signature, and returns the nonce.
func verifyWire(t failer, wire []byte, scheme string, key *rsa.PublicKey, method Method, consumerKey string) string {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		t.Fatalf("the request is not HTTP: %v\n%q", err, wire)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if n := len(r.Header["Authorization"]); n != 1 {
		t.Fatalf("%d Authorization headers", n)
	}
	fields := parseHeader(t, r.Header.Get("Authorization"))
	digest := sha256.Sum256(body)
	for name, want := range map[string]string{
		"oauth_body_hash":        base64.StdEncoding.EncodeToString(digest[:]),
		"oauth_consumer_key":     consumerKey,
		"oauth_signature_method": string(method),
		"oauth_version":          "1.0",
	} {
		if fields[name] != want {
			t.Fatalf("%s is %q, want %q", name, fields[name], want)
		}
	}
	if len(fields) != 7 || len(fields["oauth_nonce"]) != 16 {
		t.Fatalf("the fields are %q", fields)
	}
	seconds, err := strconv.ParseInt(fields["oauth_timestamp"], 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age < 0 || age > time.Minute {
		t.Fatalf("the timestamp is %q", fields["oauth_timestamp"])
	}
	verifySignature(t, key, method, wireBaseString(r, scheme, fields), fields["oauth_signature"])
	return fields["oauth_nonce"]
}

// wireBaseString works on the request line, not on its parsed URL.
func wireBaseString(r *http.Request, scheme string, fields map[string]string) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	host := strings.ToLower(r.Host)
	if name, port, ok := strings.Cut(host, ":"); ok &&
		(scheme == "https" && port == "443" || scheme == "http" && port == "80") {
		host = name
	}
	values := map[string][]string{}
	for _, pair := range strings.FieldsFunc(query, func(c rune) bool { return c == '&' }) {
		name, value := pair, ""
		if i := strings.IndexByte(pair, '='); i >= 0 {
			name, value = pair[:i], pair[i+1:]
		}
		values[name] = append(values[name], value)
	}
	for name, value := range fields {
		if name != "oauth_signature" {
			values[name] = append(values[name], value)
		}
	}
	var names, pairs []string
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		sort.Strings(values[name])
		for _, value := range values[name] {
			pairs = append(pairs, name+"="+value)
		}
	}
	return r.Method + "&" + rfc3986(scheme+"://"+host+path) + "&" + rfc3986(strings.Join(pairs, "&"))
}

var reserved = regexp.MustCompile(`[^A-Za-z0-9._~-]`)

func rfc3986(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i : i+1]; reserved.MatchString(c) {
			fmt.Fprintf(&out, "%%%02X", s[i])
		} else {
			out.WriteString(c)
		}
	}
	return out.String()
}

func verifySignature(t failer, key *rsa.PublicKey, method Method, base, signature string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		t.Fatalf("the signature is not Base64: %v", err)
	}
	digest := sha256.Sum256([]byte(base))
	if method == RSAPSS {
		err = rsa.VerifyPSS(key, crypto.SHA256, digest[:], raw, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})
	} else {
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw)
	}
	if err != nil {
		t.Fatalf("%s: %v; the base string is\n%s", method, err, base)
	}
}
