package kafkatest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Issuer signs tokens of OAUTHBEARER: JWTs by RS256, which a guarded broker checks against a set of keys (RFC 7517).
type Issuer struct{ key *rsa.PrivateKey }

const (
	tokenIssuer   = "https://login.guarded.test"
	tokenAudience = "kafka"
	tokenKey      = "guarded-1" // the id of the key
)

// NewIssuer makes one that no broker knows.
func NewIssuer() *Issuer {
	key, _ := rsa.GenerateKey(rand.Reader, 2048) // never fails
	return &Issuer{key}
}

// keySet is the JWKS.
func (i *Issuer) keySet() string {
	return fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":"AQAB"}]}`, tokenKey,
		base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()))
}

// Token makes a token of a user.
func (i *Issuer) Token(user string, life time.Duration) string {
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	text := encode(fmt.Appendf(nil, `{"alg":"RS256","kid":%q}`, tokenKey)) + "." + encode(fmt.Appendf(nil,
		`{"sub":%q,"iss":%q,"aud":%q,"iat":%d,"exp":%d}`, user, tokenIssuer, tokenAudience, now.Unix(),
		now.Add(life).Unix()))
	digest := sha256.Sum256([]byte(text))
	signature, _ := rsa.SignPKCS1v15(nil, i.key, crypto.SHA256, digest[:]) // fails for no key of this length
	return text + "." + encode(signature)
}

// TokenServer is an authorization server that gives tokens by client credentials (RFC 6749, section 4.4).
type TokenServer struct {
	URL    string
	Secret atomic.Value // string: of the client, whose id is the user
	Down   atomic.Bool  // it answers with 503
	Asked  atomic.Int64
}

// ServeTokens starts an authorization server whose tokens last so long, and whose certificate is of the broker's
// authority.
func (g *Guarded) ServeTokens(t testing.TB, secret string, life time.Duration) *TokenServer {
	t.Helper()
	const host = "localhost"
	issued, err := g.CA.issue(host, time.Now().Add(90*day))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair([]byte(issued.cert), []byte(issued.key))
	if err != nil {
		t.Fatal(err)
	}
	s := &TokenServer{}
	s.Secret.Store(secret)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Asked.Add(1)
		user, password, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case s.Down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.FormValue("grant_type") != "client_credentials" || password != s.Secret.Load():
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		default:
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`,
				g.Tokens.Token(user, life), int(life.Seconds()))
		}
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	s.URL = "https://" + net.JoinHostPort(host, port)
	return s
}
