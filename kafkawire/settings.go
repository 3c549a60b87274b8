package kafkawire

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// SettingError says that a setting of the connections cannot be used. It comes in parts, for callers who know the
// setting by another name.
type SettingError struct {
	Field string // "TLSFiles.CA", "TLSFiles.Cert" (and Key, which goes with it), "SASL"
	What  string // "holds no PEM certificate"
	Fix   string
	Err   error // why; nil: What says all
}

// Error returns one line.
func (e *SettingError) Error() string { return e.Field + ": " + e.Problem() + "; " + e.Fix }

// Problem is what is wrong and why, without the field and the fix.
func (e *SettingError) Problem() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *SettingError) Unwrap() error { return e.Err }

// TLSFiles name PEM files. An empty CA means the system's authorities; certificate and key go together.
type TLSFiles struct{ CA, Cert, Key string }

// Load reads the files into a configuration for TLS 1.2 and newer. Its errors are *SettingError.
func (f TLSFiles) Load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		const field, fix = "TLSFiles.CA", "give the PEM file of the authorities that sign the brokers' certificates"
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, &SettingError{Field: field, What: "cannot be read", Err: err, Fix: fix}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &SettingError{Field: field, What: f.CA + " holds no PEM certificate", Fix: fix}
		}
	}
	if f.Cert != "" || f.Key != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, &SettingError{Field: "TLSFiles.Cert", What: "the certificate or its key cannot be read", Err: err,
				Fix: "give the PEM files of one certificate and its key"}
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// SASL returns the mechanism of that name: plain, scram-sha-256, scram-sha-512; nil for none. Its errors are
// *SettingError.
func SASL(mechanism, user, password string) (m sasl.Mechanism, err error) {
	switch mechanism {
	case "", "none":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: user, Password: password}, nil
	case "scram-sha-256":
		m, err = scram.Mechanism(scram.SHA256, user, password)
	case "scram-sha-512":
		m, err = scram.Mechanism(scram.SHA512, user, password)
	default:
		return nil, &SettingError{Field: "SASL", What: fmt.Sprintf("the mechanism %q is not known", mechanism),
			Fix: "set none, plain, scram-sha-256 or scram-sha-512"}
	}
	if err != nil {
		return nil, &SettingError{Field: "SASL", What: "the login cannot be prepared", Err: err,
			Fix: "check user and password"}
	}
	return m, nil
}
