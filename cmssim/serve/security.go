package serve

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/cmssim"
)

// security is what the flags say about signatures, encryption and TLS: names of files, which apply reads.
type security struct {
	verifyConsumerKey, verifyKeyFile      string
	verifyMaxSkew                         time.Duration
	encryptKeyFile, encryptField          string
	encryptErrors                         bool
	tlsCertFile, tlsKeyFile, clientCAFile string
}

func (s *security) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.verifyConsumerKey, "verify-consumer-key", "",
		"check signatures (OAuth 1.0a): `key` that calls have to name")
	flags.StringVar(&s.verifyKeyFile, "verify-key-file", "",
		"PEM `file` with the public key or certificate of the signing key")
	flags.DurationVar(&s.verifyMaxSkew, "verify-max-skew", 5*time.Minute, "most that a signature's timestamp may be off")
	flags.StringVar(&s.encryptKeyFile, "encrypt-key-file", "",
		"encrypt answers (JWE) for the public key or certificate in `file`")
	flags.StringVar(&s.encryptField, "encrypt-field", "encryptedData", "`name` of the member that holds the JWE")
	flags.BoolVar(&s.encryptErrors, "encrypt-errors", false,
		"encrypt errors of the CMS too; the gateway's are always plain")
	flags.StringVar(&s.tlsCertFile, "tls-cert-file", "",
		"serve https with the certificate, and its chain, in this PEM `file`")
	flags.StringVar(&s.tlsKeyFile, "tls-key-file", "", "PEM `file` with the private key of --tls-cert-file")
	flags.StringVar(&s.clientCAFile, "tls-client-ca-file", "",
		"demand client certificates of the authorities in this PEM `file`")
}

// together reports the first flag that says nothing without another one.
func (s *security) together(flags *pflag.FlagSet) error {
	for _, pair := range [][2]string{
		{"verify-consumer-key", "verify-key-file"}, {"verify-key-file", "verify-consumer-key"},
		{"verify-max-skew", "verify-key-file"},
		{"encrypt-field", "encrypt-key-file"}, {"encrypt-errors", "encrypt-key-file"},
		{"tls-cert-file", "tls-key-file"}, {"tls-key-file", "tls-cert-file"}, {"tls-client-ca-file", "tls-cert-file"},
	} {
		if given(flags, pair[0]) && !given(flags, pair[1]) {
			return fmt.Errorf("flag --%s needs --%s as well", pair[0], pair[1])
		}
	}
	return nil
}

func given(flags *pflag.FlagSet, name string) bool {
	flag := flags.Lookup(name)
	return flag.Changed && flag.Value.String() != ""
}

// apply reads the files and completes the configuration. Its errors name flag and file.
func (s *security) apply(config *cmssim.Config) error {
	if s.verifyKeyFile != "" {
		key, err := publicKey(s.verifyKeyFile)
		if err != nil {
			return fmt.Errorf("flag --verify-key-file: %w", err)
		}
		config.Verify = &cmssim.Verify{ConsumerKey: s.verifyConsumerKey, Key: key, MaxSkew: s.verifyMaxSkew}
	}
	if s.encryptKeyFile != "" {
		key, err := publicKey(s.encryptKeyFile)
		if err != nil {
			return fmt.Errorf("flag --encrypt-key-file: %w", err)
		}
		config.Encrypt = &cmssim.Encrypt{Key: key, Field: s.encryptField, ErrorsToo: s.encryptErrors}
	}
	if s.tlsCertFile == "" {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(s.tlsCertFile, s.tlsKeyFile)
	if err != nil {
		return fmt.Errorf("flags --tls-cert-file and --tls-key-file: %w", err)
	}
	config.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if s.clientCAFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.clientCAFile)
	if err != nil {
		return fmt.Errorf("flag --tls-client-ca-file: %w", err)
	}
	config.TLS.ClientAuth, config.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !config.TLS.ClientCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("flag --tls-client-ca-file: %s holds no certificate in PEM", s.clientCAFile)
	}
	return nil
}

// publicKey reads the first public key or certificate of a PEM file.
func publicKey(path string) (*rsa.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	private := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "CERTIFICATE":
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				key = certificate.PublicKey
			}
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			key, err = x509.ParsePKCS1PublicKey(block.Bytes)
		default:
			private = private || strings.HasSuffix(block.Type, "PRIVATE KEY")
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if key, ok := key.(*rsa.PublicKey); ok {
			return key, nil
		}
		return nil, fmt.Errorf("%s: the key is not an RSA key", path)
	}
	if private {
		return nil, fmt.Errorf("%s holds a private key, which stays with its owner: "+
			"openssl pkey -in FILE -pubout writes the public one", path)
	}
	return nil, fmt.Errorf("%s holds no public key and no certificate in PEM", path)
}
