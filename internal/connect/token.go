package connect

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/balanceq/balanceq/cmsclient/keys"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/telemetry"
)

// bearer is the login by tokens: from a file that another program keeps up to date, or of an authorization server by
// client credentials (RFC 6749, section 4.4).
func (c *Credentials) bearer(cfg config.OAuth) (*kafkawire.OAuthBearer, error) {
	m := &kafkawire.OAuthBearer{Extensions: cfg.ExtensionMap()}
	if cfg.TokenFile != "" {
		file, err := keys.Open("kafka.sasl.oauth.token-file", []string{cfg.TokenFile}, readToken)
		if err != nil {
			return nil, err
		}
		m.Token = func(context.Context) (string, error) { return file.Latest(), nil }
		c.token = func() telemetry.Token {
			token := file.Latest()
			return telemetry.Token{Expires: expiryOf(token), Failing: file.Failing()}
		}
		return m, nil
	}
	secret, err := c.secret("kafka-client-secret", "kafka.sasl.oauth.client-secret-file", cfg.ClientSecret,
		cfg.ClientSecretFile)
	if err != nil {
		return nil, err
	}
	client := func() *http.Client { return &http.Client{Timeout: tokenTimeout, CheckRedirect: unredirected} }
	if cfg.CAFile != "" {
		authorities, err := keys.Open("kafka.sasl.oauth.ca-file", []string{cfg.CAFile}, certPool)
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, &credential{name: "kafka-oauth-ca", file: authorities, expires: never})
		client = func() *http.Client {
			return &http.Client{Timeout: tokenTimeout, CheckRedirect: unredirected, Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, // it serves one request
				TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities.Latest()}}}
		}
	}
	t := &tokens{fetch: func(ctx context.Context) (*oauth2.Token, error) {
		from := clientcredentials.Config{
			ClientID: cfg.ClientID, ClientSecret: secret(), TokenURL: cfg.TokenURL, Scopes: cfg.Scopes,
			AuthStyle: oauth2.AuthStyleInHeader, // which every server takes (RFC 6749, section 2.3.1); else it tries both
		}
		return from.Token(context.WithValue(ctx, oauth2.HTTPClient, client()))
	}}
	m.Token, c.token = t.token, t.status
	return m, nil
}

const (
	tokenTimeout = 10 * time.Second
	tokenRetry   = 5 * time.Second // after a failure, while the last token is good
	// percent of a token's life after which the next one is fetched: before logins are renewed
	tokenLife = 70
)

// tokens keeps a token for all connections, and fetches the next one while it is still good.
type tokens struct {
	fetch func(context.Context) (*oauth2.Token, error)

	mu      sync.Mutex
	now     *oauth2.Token // nil: none yet
	renewAt time.Time
	failing error // of the last fetch
}

// TokenError says that no token for Kafka can be had.
type TokenError struct{ Err error }

func (e *TokenError) Error() string { return "fetching a token for Kafka: " + e.Err.Error() }

// Unwrap returns why.
func (e *TokenError) Unwrap() error { return e.Err }

func (t *tokens) token(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	began := time.Now()
	if t.now != nil && began.Before(t.renewAt) {
		return t.now.AccessToken, nil
	}
	next, err := t.fetch(ctx)
	t.failing = nil
	switch {
	case err == nil:
		t.now, t.renewAt = next, began.Add(next.Expiry.Sub(began)*tokenLife/100)
		if next.Expiry.IsZero() { // it does not say: it serves one login
			t.renewAt = time.Time{}
		}
	case t.now != nil && t.now.Expiry.After(began):
		t.renewAt, t.failing = began.Add(tokenRetry), &TokenError{withoutBody(err)}
	default:
		t.failing = &TokenError{withoutBody(err)}
		return "", t.failing
	}
	return t.now.AccessToken, nil
}

func (t *tokens) status() (s telemetry.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil {
		s.Expires = t.now.Expiry
	}
	s.Failing = t.failing
	return s
}

// unredirected has a redirect be the answer: the secret is for the address that the configuration names, and net/http
// sends it on to any other below the same name, unencrypted too.
func unredirected(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// withoutBody leaves out what an authorization server sent in a form of its own, which could hold anything.
func withoutBody(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		if failed, ok := errors.AsType[*url.Error](err); ok { // which says the whole address
			err = failed.Err
		}
		return err
	case refused.ErrorCode != "":
		return fmt.Errorf("the authorization server answers %.100q", refused.ErrorCode)
	}
	return fmt.Errorf("the authorization server answers HTTP %d", refused.Response.StatusCode)
}

func readToken(contents [][]byte) (string, error) {
	text := bytes.TrimRight(contents[0], "\r\n")
	if len(text) == 0 || bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &keys.FileError{What: "the file holds no token", Fix: "write a token into it and nothing else"}
	}
	return string(text), nil
}

// expiryOf is when a token says that it expires, if it is a JWT (RFC 7519); only its issuer's brokers can tell whether
// that is true.
func expiryOf(token string) time.Time {
	parts := bytes.Split([]byte(token), []byte("."))
	if len(parts) != 3 {
		return time.Time{}
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}
