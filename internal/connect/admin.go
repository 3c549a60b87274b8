package connect

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/balanceq/balanceq/cmsclient/keys"
	"github.com/balanceq/balanceq/internal/config"
)

// Access is what a server that acts asks of its clients.
type Access struct {
	Token func() string // nil: none
	TLS   *tls.Config   // nil: plain HTTP
}

// leastToken is the least that a token may have, in bytes: 16 of hex are 64 bits, too many to guess over a network.
const leastToken = 16

// Admin reads the files of http.admin, and from then on looks after them as after the keys for the CMS. The error joins
// everything that is wrong with them; each is a *finding.Error.
func (c *Credentials) Admin(cfg config.HTTP) (access Access, _ error) {
	var failed [2]error
	if cfg.AdminTokenFile != "" {
		file, err := keys.Open("http.admin-token-file", []string{cfg.AdminTokenFile}, token)
		if failed[0] = inParts(err); err == nil {
			access.Token = file.Value
			c.all = append(c.all, &credential{name: "admin-token", file: file, expires: never})
		}
	}
	if cfg.AdminTLS.CertFile != "" {
		access.TLS, failed[1] = c.serverTLS(cfg.AdminTLS)
		failed[1] = inParts(failed[1])
	}
	return access, errors.Join(failed[:]...)
}

func never() time.Time { return time.Time{} }

// token reads a token: what fits a header, without the end of its line.
func token(contents [][]byte) (string, error) {
	text := bytes.TrimRight(contents[0], "\r\n")
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return "", &keys.FileError{What: "the token contains a space or what is not printable ASCII",
				Fix: "make one, for example with openssl rand -hex 32"}
		}
	}
	if len(text) < leastToken {
		return "", &keys.FileError{What: "the token has fewer than 16 characters",
			Fix: "make one, for example with openssl rand -hex 32"}
	}
	return string(text), nil
}

// serverTLS returns the settings of a server, which take each connection by the files as they are then.
func (c *Credentials) serverTLS(cfg config.AdminTLS) (*tls.Config, error) {
	pair, err := keys.Open("http.admin-tls.cert-file, http.admin-tls.key-file", []string{cfg.CertFile, cfg.KeyFile},
		func(contents [][]byte) (tls.Certificate, error) { return tls.X509KeyPair(contents[0], contents[1]) })
	if err != nil {
		return nil, err
	}
	c.all = append(c.all, &credential{name: "admin-certificate", file: pair, expires: func() time.Time {
		return pair.Value().Leaf.NotAfter
	}})
	var authorities *keys.File[*x509.CertPool]
	if cfg.ClientCAFile != "" {
		if authorities, err = keys.Open("http.admin-tls.client-ca-file", []string{cfg.ClientCAFile}, certPool); err != nil {
			return nil, err
		}
		c.all = append(c.all, &credential{name: "admin-client-ca", file: authorities, expires: never})
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair.Value()}}
		if authorities != nil {
			now.ClientCAs, now.ClientAuth = authorities.Value(), tls.RequireAndVerifyClientCert
		}
		return now, nil
	}}, nil
}

// certPool reads the certificates of authorities.
func certPool(contents [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(contents[0]) {
		return nil, &keys.FileError{What: "the file holds no PEM certificate", Fix: "give the authority's"}
	}
	return pool, nil
}
