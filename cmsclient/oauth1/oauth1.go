// Package oauth1 signs requests as Mastercard's gateway wants them signed: one-legged OAuth 1.0a (RFC 5849) with RSA.
// The hash of the body extension is sent even where there is no body.
package oauth1

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Method is a signature method, as oauth_signature_method names it.
type Method string

// The methods that the gateway knows; both hash with SHA-256.
const (
	RSASHA256 Method = "RSA-SHA256" // RSASSA-PKCS1-v1_5, Mastercard's default
	RSAPSS    Method = "RSA-PSS"    // RSASSA-PSS, MGF1 with SHA-256, 32 bytes of salt
)

// Signer signs requests. It is safe for concurrent use.
type Signer struct {
	consumerKey string
	method      Method
	key         func() *rsa.PrivateKey
}

// New returns a Signer; key is asked at every signature, so that keys can be changed. An error says what is wrong with
// the consumer key or the method, and does not repeat the consumer key.
func New(consumerKey string, method Method, key func() *rsa.PrivateKey) (*Signer, error) {
	// It is written between quotation marks, as it is.
	invalid := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' || c == ',' }
	switch {
	case consumerKey == "":
		return nil, errors.New("the consumer key is empty: give the one of your project at developer.mastercard.com")
	case strings.ContainsFunc(consumerKey, invalid):
		return nil, errors.New("the consumer key holds a character that it cannot have: " +
			"check it for spaces, quotes and line breaks")
	case method != RSASHA256 && method != RSAPSS:
		return nil, fmt.Errorf("the signature method %q is not known: set %s or %s", method, RSASHA256, RSAPSS)
	case key == nil:
		return nil, errors.New("there is no signing key: give one")
	}
	return &Signer{consumerKey, method, key}, nil
}

var consumerKeyForm = regexp.MustCompile(`^[0-9A-Za-z_-]{48}![0-9A-Za-z_-]{48}$`)

// CheckConsumerKey says whether s has the form of Mastercard's consumer keys: 97 characters, 48 on either side of an
// exclamation mark. The form is observed, not promised: an error is worth a warning, no more. It does not repeat the
// key.
func CheckConsumerKey(s string) error {
	if !consumerKeyForm.MatchString(s) {
		return fmt.Errorf("the consumer key (%d characters) does not look like one, "+
			"which is 97 characters, the 49th an exclamation mark: copy all of it", len(s))
	}
	return nil
}

// Authenticate sets the Authorization header, with a nonce and a timestamp of its own. It must come last: it signs
// method, Host, path and query as they go over the wire. A body is read by way of GetBody, and stays unread itself.
func (s *Signer) Authenticate(r *http.Request) error {
	authorization, err := s.authorization(r, newNonce(), time.Now())
	if err != nil {
		return err
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header["Authorization"] = []string{authorization}
	return nil
}

// authorization returns the header's value.
func (s *Signer) authorization(r *http.Request, nonce string, now time.Time) (string, error) {
	hash, err := requestBodyHash(r)
	if err != nil {
		return "", err
	}
	oauth := []param{
		{"oauth_body_hash", hash},
		{"oauth_consumer_key", s.consumerKey},
		{"oauth_nonce", nonce},
		{"oauth_signature_method", string(s.method)},
		{"oauth_timestamp", strconv.FormatInt(now.Unix(), 10)},
		{"oauth_version", "1.0"},
	}
	base := baseString(r.Method, baseURL(r), paramString(append(queryParams(r.URL.RawQuery), oauth...)))
	signature, err := s.sign(base)
	if err != nil {
		return "", err
	}
	// Values are written as they were signed: were the body hash escaped here, the gateway would expect it escaped twice
	// in the base string. Only the signature, which is not part of what it signs, is escaped.
	header := make([]byte, 0, 1024)
	header = append(header, "OAuth "...)
	for _, p := range oauth {
		header = append(header, p.name...)
		header = append(header, `="`...)
		header = append(header, p.value...)
		header = append(header, `",`...)
	}
	header = append(header, `oauth_signature="`...)
	header = append(header, escaped(base64.StdEncoding.EncodeToString(signature))...)
	return string(append(header, '"')), nil
}

// newNonce returns 16 characters of Base32 (A-Z, 2-7): 80 random bits, each character as likely as any other.
func newNonce() string { return rand.Text()[:16] }

func (s *Signer) sign(base []byte) ([]byte, error) {
	key := s.key()
	if key == nil {
		return nil, errors.New("there is no signing key: give one")
	}
	digest := sha256.Sum256(base)
	var (
		signature []byte
		err       error
	)
	if s.method == RSAPSS {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: sha256.Size})
	} else {
		signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	}
	if err != nil {
		return nil, fmt.Errorf("the request cannot be signed: %w: check the signing key", err)
	}
	return signature, nil
}

// emptyBodyHash is bodyHash of nothing, the usual case.
var emptyBodyHash = bodyHash(nil)

func requestBodyHash(r *http.Request) (string, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return emptyBodyHash, nil
	}
	if r.GetBody == nil {
		return "", errors.New("a request whose body can be read only once cannot be signed: set GetBody")
	}
	reader, err := r.GetBody()
	if err != nil {
		return "", fmt.Errorf("the request's body cannot be read for its hash: %w", err)
	}
	defer func() { _ = reader.Close() }() // it was only read
	body, err := io.ReadAll(reader)
	if err != nil {
		return "", fmt.Errorf("the request's body cannot be read for its hash: %w", err)
	}
	return bodyHash(body), nil
}

// bodyHash returns oauth_body_hash (OAuth Request Body Hash 1.0 draft 4, with SHA-256).
func bodyHash(body []byte) string {
	digest := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(digest[:])
}
