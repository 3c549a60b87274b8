// Package jwe opens the encrypted answers of the Mastercard Processing Core API (compact JWE, RFC 7516). Such an answer
// is a JSON object with one member, {"encryptedData":"eyJ…"}. Mastercard's own libraries write alg RSA-OAEP-256, enc
// A256GCM and a kid that is the hex SHA-256 of the public key (SubjectPublicKeyInfo, DER); they read three more values
// of enc, and so does this package.
package jwe

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrMalformed says that there is an envelope, but what is in it is no JWE that is read here, or is damaged. Another
// answer to the same question may well be readable.
var ErrMalformed = errors.New("the encrypted answer is malformed")

// What is accepted. No RSA1_5 and no RSA-OAEP with SHA-1: an attacker who can choose the algorithm chooses the weakest.
var (
	keyAlgorithms = []jose.KeyAlgorithm{jose.RSA_OAEP_256}
	encryptions   = []jose.ContentEncryption{jose.A128GCM, jose.A192GCM, jose.A256GCM, jose.A128CBC_HS256}
)

const (
	// maxHeader bounds the header, in bytes of Base64: it is parsed before anything is authenticated, its unknown members
	// by recursion. Mastercard's have 150; 8 KiB leave room for a certificate chain.
	maxHeader = 8 << 10
	maxQuoted = 128 // bytes of the sender's text in an error
)

// Decrypter opens answers. It is safe for concurrent use.
type Decrypter struct {
	fields []string
	quoted [][]byte // the fields as they stand in JSON
	keys   func() []*rsa.PrivateKey
}

// New returns a Decrypter that looks for the JWE in the given top-level members. keys returns the private keys in
// force; it is called for every encrypted answer, so that keys can be replaced at any time.
func New(fields []string, keys func() []*rsa.PrivateKey) *Decrypter {
	d := &Decrypter{fields: fields, keys: keys}
	for _, field := range fields {
		quoted, _ := jsontext.AppendQuote(nil, field) // what is no UTF-8 is replaced, and then found nowhere
		d.quoted = append(d.quoted, quoted)
	}
	return d
}

// Decrypt returns the plaintext of an encrypted answer, byte for byte, and any other body as it is: plain and encrypted
// answers may come from the same operation, errors included. An error wraps ErrMalformed where the body is to blame;
// any other error is about the keys.
func (d *Decrypter) Decrypt(body []byte) (plain []byte, err error) {
	token, found := d.envelope(body)
	if !found {
		return body, nil
	}
	if header, _, _ := strings.Cut(token, "."); len(header) > maxHeader {
		return nil, fmt.Errorf("%w: its header is longer than %d bytes", ErrMalformed, maxHeader)
	}
	object, err := jose.ParseEncryptedCompact(token, keyAlgorithms, encryptions)
	if err != nil {
		return nil, malformed(err)
	}
	if _, compressed := object.Header.ExtraHeaders["zip"]; compressed {
		return nil, fmt.Errorf("%w: it is compressed (zip), which is not accepted", ErrMalformed)
	}
	keys := d.keys()
	if len(keys) == 0 {
		return nil, errors.New("the answer is encrypted and there is no key to open it")
	}
	ring := keyring{keys: keys}
	plain, err = object.Decrypt(&ring)
	switch {
	case err == nil:
		return plain, nil
	case ring.noKey:
		return nil, fmt.Errorf("no key opens the encrypted answer (its kid: %s)", quote(object.Header.KeyID))
	default:
		return nil, malformed(err)
	}
}

// envelope returns what a body that is an envelope holds. The search for the name spares plain answers the parsing.
func (d *Decrypter) envelope(body []byte) (token string, found bool) {
	for i := range d.quoted {
		if bytes.Contains(body, d.quoted[i]) {
			return d.member(body)
		}
	}
	return "", false
}

// member returns the first of the fields that is a string. It reads the whole body, strictly: what is no JSON object is
// no envelope, and decoding the answer will say so.
func (d *Decrypter) member(body []byte) (token string, found bool) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body))
	if start, err := dec.ReadToken(); err != nil || start.Kind() != '{' {
		return "", false
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return "", false
		}
		wanted := !found && slices.Contains(d.fields, name.String())
		if !wanted || dec.PeekKind() != '"' {
			if dec.SkipValue() != nil {
				return "", false
			}
			continue
		}
		value, err := dec.ReadToken()
		if err != nil {
			return "", false
		}
		token, found = value.String(), true
	}
	if _, err := dec.ReadToken(); err != nil {
		return "", false
	}
	_, err := dec.ReadToken()
	return token, found && errors.Is(err, io.EOF)
}

// keyring unwraps the content encryption key of one JWE (jose.OpaqueKeyDecrypter). go-jose answers every failure with
// the same error; noKey tells the one apart that another key would have opened it.
type keyring struct {
	keys  []*rsa.PrivateKey
	noKey bool
}

// DecryptKey uses the key that the JWE names, or tries all where it names none of these. It cannot be used as an
// oracle: what follows from its outcome stays in this process.
func (r *keyring) DecryptKey(encryptedKey []byte, header jose.Header) ([]byte, error) {
	for _, key := range r.keys {
		if keyID(&key.PublicKey) == header.KeyID {
			return rsa.DecryptOAEP(sha256.New(), rand.Reader, key, encryptedKey, nil)
		}
	}
	for _, key := range r.keys {
		if cek, err := rsa.DecryptOAEP(sha256.New(), rand.Reader, key, encryptedKey, nil); err == nil {
			return cek, nil
		}
	}
	r.noKey = true
	return nil, jose.ErrCryptoFailure
}

// keyID returns the kid that Mastercard gives a public key: the SHA-256 of its SubjectPublicKeyInfo in lower-case hex.
func keyID(key *rsa.PublicKey) string {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil { // cannot happen with an RSA key
		return ""
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// malformed wraps what go-jose found. Its text may repeat the sender's, in any length, but nothing that is secret: keys
// and plaintext are in none of its errors.
func malformed(err error) error {
	return fmt.Errorf("%w: %s", ErrMalformed, quote(strings.TrimPrefix(err.Error(), "go-jose/go-jose: ")))
}

// quote makes text of the sender fit for a log: bounded, in quotes, and visible ASCII only.
func quote(s string) string {
	if s == "" {
		return "none"
	}
	if len(s) > maxQuoted {
		s = s[:maxQuoted]
	}
	return fmt.Sprintf("%+q", s)
}
