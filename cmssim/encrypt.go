package cmssim

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"
)

// Encrypt makes the simulator encrypt the answers of the CMS as Mastercard's libraries do: {"<Field>":"<compact JWE>"},
// alg RSA-OAEP-256, enc A256GCM. What the gateway answers stays plain, since it stands in front of what encrypts; so do
// bodies that a fault brings along.
type Encrypt struct {
	Key       *rsa.PublicKey // of the client's decryption key; at least 2048 bits
	Field     string         // the member that holds the JWE; "": encryptedData
	ErrorsToo bool           // errors of the CMS as well, not only what it answers with 200
}

const defaultField = "encryptedData"

// sealer encrypts answers; go-jose's Encrypter keeps no state between two.
type sealer struct {
	encrypter jose.Encrypter
	errorsToo bool
	opening   []byte // {"<Field>":"
}

// newSealer returns nil where nothing is to be encrypted. Its errors name cms-sim's flag.
func newSealer(e *Encrypt) (*sealer, error) {
	switch {
	case e == nil:
		return nil, nil
	case !longEnough(e.Key):
		return nil, fmt.Errorf("encrypt-key-file: give an RSA public key of at least %d bits", minKeyBits)
	}
	spki, err := x509.MarshalPKIXPublicKey(e.Key)
	if err != nil {
		return nil, fmt.Errorf("encrypt-key-file: %w", err)
	}
	kid := sha256.Sum256(spki)
	encrypter, err := jose.NewEncrypter(jose.A256GCM,
		jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: e.Key, KeyID: hex.EncodeToString(kid[:])},
		(&jose.EncrypterOptions{}).WithContentType("application/json"))
	if err != nil {
		return nil, fmt.Errorf("encrypt-key-file: %w", err)
	}
	opening, err := jsontext.AppendQuote([]byte{'{'}, cmp.Or(e.Field, defaultField))
	if err != nil {
		return nil, fmt.Errorf("encrypt-field: %w", err)
	}
	return &sealer{encrypter, e.ErrorsToo, append(opening, `:"`...)}, nil
}

// ofGateway is how every error of the gateway begins.
var ofGateway = []byte(`{"Errors":{"Error":[{"Source":"` + sourceGateway + `"`)

// seal returns the body as it goes out: encrypted where the CMS would encrypt it, otherwise as it is. A nil sealer
// leaves everything plain.
func (s *sealer) seal(status int, body []byte) []byte {
	if s == nil || status != http.StatusOK && !s.errorsToo || bytes.HasPrefix(body, ofGateway) {
		return body
	}
	object, err := s.encrypter.Encrypt(body)
	if err != nil {
		panic(fmt.Sprintf("cmssim: encrypting an answer: %v", err)) // cannot happen with a key that newSealer accepts
	}
	token, err := object.CompactSerialize()
	if err != nil {
		panic(fmt.Sprintf("cmssim: writing a JWE: %v", err)) // cannot happen with one recipient
	}
	return slices.Concat(s.opening, []byte(token), []byte(`"}`))
}
