// Package keys reads RSA private keys and certificates from files and keeps them up to date while the process runs.
package keys

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// minBits is the smallest RSA modulus that is accepted; NIST SP 800-131A allows none below for signatures.
const minBits = 2048

// Key is a private key and its certificate.
type Key struct {
	Private     *rsa.PrivateKey
	Certificate *x509.Certificate // nil where the file holds none
}

// Parse reads the one RSA key of a file, of at least 2048 bits, and its certificate. The file is one of
//   - PKCS#12 (RFC 7292) in DER, with a certificate and perhaps its chain, which is ignored;
//   - PEM (RFC 7468) with one unencrypted "PRIVATE KEY" or "RSA PRIVATE KEY" and any number of "CERTIFICATE", in any
//     order;
//   - an unencrypted PKCS#8 key (RFC 5958) in DER.
//
// The password opens PKCS#12; the other forms have none and ignore it. Errors are *FileError; they hold
// neither the password nor anything of the key.
func Parse(data []byte, password string) (Key, error) {
	if bytes.Contains(data, pemBegin) {
		return parsePEM(data)
	}
	// Both forms begin with their version: PKCS#12 is 3, PKCS#8 is 0 or 1.
	var head struct{ Version int }
	switch rest, err := asn1.Unmarshal(data, &head); {
	case err != nil || len(rest) > 0:
		return Key{}, &FileError{What: "this is no key file, or it is incomplete",
			Fix: "give PKCS#12 (DER), PEM, or unencrypted PKCS#8 (DER)"}
	case head.Version == 3:
		return parsePKCS12(data, password)
	}
	private, err := x509.ParsePKCS8PrivateKey(data)
	if err != nil {
		return Key{}, unreadable(err)
	}
	return newKey(private, nil)
}

var pemBegin = []byte("-----BEGIN ")

func parsePEM(data []byte) (Key, error) {
	var (
		private any
		certs   []*x509.Certificate
		blocks  int
	)
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if private != nil {
				return Key{}, &FileError{What: "the file holds several private keys", Fix: "leave one"}
			}
			var err error
			if private, err = parsePEMKey(block); err != nil {
				return Key{}, err
			}
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return Key{}, &FileError{What: "a certificate cannot be read", Err: err, Fix: "replace or remove it"}
			}
			certs = append(certs, cert)
		}
	}
	// pem.Decode passes over what it cannot read. In a file that is being written this would lose a certificate.
	if blocks != bytes.Count(data, pemBegin) {
		return Key{}, &FileError{What: "a PEM block is damaged or incomplete", Fix: "write the file again"}
	}
	return newKey(private, certs)
}

func parsePEMKey(block *pem.Block) (any, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, &FileError{What: "the PEM key is encrypted",
			Fix: "decrypt it (openssl pkey -in encrypted.pem -out key.pem), or use PKCS#12 (openssl pkcs12 -export)"}
	}
	var (
		private any
		err     error
	)
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default: // EC, DSA, OPENSSH
		return nil, errNotRSA
	}
	if err != nil {
		return nil, unreadable(err)
	}
	return private, nil
}

func parsePKCS12(data []byte, password string) (Key, error) {
	private, cert, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return Key{}, &FileError{What: "the password does not open the PKCS#12 file",
			Fix: "check the password, also for a line break at its end; if it is right, the file is damaged"}
	case err != nil:
		return Key{}, &FileError{What: "the PKCS#12 file cannot be read", Err: err,
			Fix: "it must hold one private key and its certificate " +
				"(openssl pkcs12 -export -inkey key.pem -in certificate.pem -out key.p12)"}
	}
	return newKey(private, append([]*x509.Certificate{cert}, chain...))
}

var errNotRSA = &FileError{What: "the private key is not an RSA key", Fix: "give an RSA key of at least 2048 bits"}

func unreadable(err error) error {
	return &FileError{What: "the private key cannot be read", Err: err,
		Fix: "convert it to PKCS#8 (openssl pkey -in old.pem -out key.pem)"}
}

// newKey pairs the key with its own certificate: in a chain it need not be the first one.
func newKey(private any, certs []*x509.Certificate) (Key, error) {
	if private == nil {
		return Key{}, &FileError{What: "the file holds no private key",
			Fix: "give the key, with its certificate if it has one"}
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return Key{}, errNotRSA
	}
	if bits := key.N.BitLen(); bits < minBits {
		return Key{}, &FileError{What: fmt.Sprintf("the RSA key has %d bits", bits),
			Fix: fmt.Sprintf("give one of at least %d", minBits)}
	}
	for _, cert := range certs {
		if key.PublicKey.Equal(cert.PublicKey) {
			return Key{key, cert}, nil
		}
	}
	if len(certs) > 0 {
		return Key{}, &FileError{What: "the certificate belongs to another key",
			Fix: "give the certificate of this key, or none"}
	}
	return Key{Private: key}, nil
}
