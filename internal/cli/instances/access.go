package instances

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/config"
)

// AccessFlags say what to show to instances that do not take orders from anybody.
type AccessFlags struct{ token, ca, cert, key string }

// Register adds the flags.
func (f *AccessFlags) Register(fs *pflag.FlagSet) {
	fs.StringVar(&f.token, "token-file", "", "`file` with the token that they ask for (default: http.admin-token-file)")
	fs.StringVar(&f.ca, "ca-file", "", "PEM `file` of the authorities that may have signed their certificates (https)")
	fs.StringVar(&f.cert, "cert-file", "", "PEM `file` of the certificate to show them (https)")
	fs.StringVar(&f.key, "key-file", "", "PEM `file` of that certificate's private key")
}

// Load reads the files. Its errors name the flag, and no content.
func (f *AccessFlags) Load(cfg config.HTTP) (access Access, err error) {
	flag, path := "--token-file", f.token
	if path == "" {
		flag, path = "http.admin-token-file", cfg.AdminTokenFile
	}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return access, fmt.Errorf("%s: %w", flag, err)
		}
		access.Token = strings.TrimRight(string(text), "\r\n")
		if access.Token == "" || strings.ContainsAny(access.Token, " \r\n") {
			return access, fmt.Errorf("%s: the file does not hold one token; "+
				"give the one of the instance's http.admin-token-file", flag)
		}
	}
	if f.ca == "" && f.cert == "" && f.key == "" {
		return access, nil
	}
	access.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return access, fmt.Errorf("--ca-file: %w", err)
		}
		if access.TLS.RootCAs = x509.NewCertPool(); !access.TLS.RootCAs.AppendCertsFromPEM(text) {
			return access, errors.New("--ca-file: the file holds no PEM certificate; give the authority's")
		}
	}
	if f.cert != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return access, fmt.Errorf("--cert-file, --key-file: %w; give both, PEM", err)
		}
		access.TLS.Certificates = []tls.Certificate{pair}
	}
	return access, nil
}
