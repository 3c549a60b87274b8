package connect

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/cmsclient/jwe"
	"github.com/balanceq/balanceq/cmsclient/keys"
	"github.com/balanceq/balanceq/cmsclient/oauth1"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/telemetry"
)

// ExpiryWarning is how long before its end a key is worth a warning every day.
const ExpiryWarning = 30 * 24 * time.Hour

const (
	credentialCheck = 10 * time.Second // between two looks at the files
	expiryReminder  = 24 * time.Hour
)

// Credentials are the keys, certificates, passwords and tokens of an instance. What their files hold can be exchanged
// while the service runs.
type Credentials struct {
	all   []*credential
	token func() telemetry.Token // for Kafka; nil: none
}

// credential is one of them.
type credential struct {
	name    string // such as "signing" or "kafka-certificate"
	file    file
	expires func() time.Time // zero: not known

	reminded time.Time // of the expiry; Watch's own
}

// file is a keys.File of whatever type.
type file interface {
	Refresh() (changed bool, err error)
	Failing() error
}

// Status returns the state of each.
func (c *Credentials) Status() []telemetry.Key {
	var all []telemetry.Key
	for _, one := range c.all {
		all = append(all, telemetry.Key{Name: one.name, Expires: one.expires(), Failing: one.file.Failing()})
	}
	return all
}

// Token returns the state of the token for Kafka; false: none is used.
func (c *Credentials) Token() (telemetry.Token, bool) {
	if c.token == nil {
		return telemetry.Token{}, false
	}
	return c.token(), true
}

// Watch looks after the files until ctx ends, and logs what changes, what cannot be read and what expires.
func (c *Credentials) Watch(ctx context.Context, log zerolog.Logger) {
	if len(c.all) == 0 {
		return
	}
	ticker := time.NewTicker(credentialCheck)
	defer ticker.Stop()
	for {
		for _, one := range c.all {
			one.check(log.With().Str("key", one.name).Logger(), time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *credential) check(log zerolog.Logger, now time.Time) {
	changed, err := c.file.Refresh()
	switch {
	case err != nil:
		log.Error().Str("event", "key_unusable").Err(err).
			Msg("the new key cannot be used: the one before stays in force until the file is fixed")
	case changed:
		c.reminded = time.Time{}
		log.Info().Str("event", "key_changed").Time("expires", c.expires()).Msg("a new key is in force")
	}
	expires := c.expires()
	if left := expires.Sub(now); expires.IsZero() || left > ExpiryWarning || now.Sub(c.reminded) < expiryReminder {
		return
	}
	c.reminded = now
	if !now.Before(expires) {
		log.Error().Str("event", "key_expired").Time("expired", expires).
			Msg("the key has expired: put a new one in its file's place, no restart is needed")
		return
	}
	log.Warn().Str("event", "key_expires_soon").Time("expires", expires).
		Int("days", int(expires.Sub(now)/(24*time.Hour))).
		Msg("the key expires soon: put a new one in its file's place, no restart is needed")
}

// authenticator returns what signs the calls; nil where nothing does.
func (c *Credentials) authenticator(cfg config.Auth) (cmsclient.Authenticator, error) {
	if cfg.Method != config.AuthOAuth1 {
		return nil, nil //nolint:nilnil // both are answers: no signing, no error
	}
	file, err := keys.Open("cms.auth.key-file", []string{cfg.KeyFile}, func(contents [][]byte) (keys.Key, error) {
		return keys.Parse(contents[0], cfg.KeyPassword.Reveal())
	})
	if err != nil {
		return nil, err
	}
	method := oauth1.RSASHA256
	if cfg.Signature == config.SignatureRSAPSS {
		method = oauth1.RSAPSS
	}
	signer, err := oauth1.New(cfg.ConsumerKey.Reveal(), method, func() *rsa.PrivateKey { return file.Value().Private })
	if err != nil {
		return nil, finding.Failed("cms.auth.consumer-key", err, "")
	}
	c.all = append(c.all, &credential{name: "signing", file: file, expires: func() time.Time {
		return keysExpire([]keys.Key{file.Value()}, cfg.KeyExpires)
	}})
	return signer, nil
}

// decrypter returns what opens answers. Without a key it still tells an encrypted answer from a broken one.
func (c *Credentials) decrypter(cfg config.Decryption) (*jwe.Decrypter, error) {
	type ring struct {
		keys    []keys.Key
		private []*rsa.PrivateKey
	}
	if len(cfg.KeyFiles) == 0 {
		return jwe.New(cfg.Fields, func() []*rsa.PrivateKey { return nil }), nil
	}
	files, err := keys.Open("cms.decryption.key-files", cfg.KeyFiles, func(contents [][]byte) (ring, error) {
		var r ring
		for i, content := range contents {
			key, err := keys.Parse(content, cfg.KeyPassword.Reveal())
			if err != nil {
				return ring{}, numbered(i+1, err)
			}
			r.keys, r.private = append(r.keys, key), append(r.private, key.Private)
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	c.all = append(c.all, &credential{name: "decryption", file: files, expires: func() time.Time {
		return keysExpire(files.Value().keys, cfg.KeyExpires)
	}})
	return jwe.New(cfg.Fields, func() []*rsa.PrivateKey { return files.Value().private }), nil
}

// numbered says which of several files an error is about.
func numbered(i int, err error) error {
	wrong, ok := errors.AsType[*keys.FileError](err)
	if !ok {
		return err
	}
	e := *wrong
	e.What = fmt.Sprintf("file %d: %s", i, e.What)
	return &e
}

// keysExpire returns when the last of the keys does: while one is being exchanged there are two. What their
// certificates say wins over the setting.
func keysExpire(all []keys.Key, otherwise time.Time) time.Time {
	var last time.Time
	for _, k := range all {
		if k.Certificate != nil && k.Certificate.NotAfter.After(last) {
			last = k.Certificate.NotAfter
		}
	}
	if last.IsZero() {
		return otherwise
	}
	return last
}

// tlsFiles makes the settings of each connection by the files as they are then. section is where the configuration
// names them, whose how the names of these credentials begin.
func (c *Credentials) tlsFiles(section, whose string, files config.TLSFiles) (func() *tls.Config, error) {
	var authorities *keys.File[*x509.CertPool]
	var pair *keys.File[tls.Certificate]
	var err error
	if files.CAFile != "" {
		if authorities, err = keys.Open(section+".ca-file", []string{files.CAFile}, certPool); err != nil {
			return nil, err
		}
		c.all = append(c.all, &credential{name: whose + "-ca", file: authorities, expires: never})
	}
	if files.CertFile != "" {
		if pair, err = openPair(section, files); err != nil {
			return nil, err
		}
		c.all = append(c.all, &credential{name: whose + "-certificate", file: pair, expires: func() time.Time {
			return pair.Value().Leaf.NotAfter
		}})
	}
	return func() *tls.Config {
		now := &tls.Config{MinVersion: tls.VersionTLS12}
		if authorities != nil {
			now.RootCAs = authorities.Latest()
		}
		if pair != nil {
			now.Certificates = []tls.Certificate{pair.Latest()}
		}
		return now
	}, nil
}

// openPair opens a certificate and its key.
func openPair(section string, files config.TLSFiles) (*keys.File[tls.Certificate], error) {
	return keys.Open(section+".cert-file, "+section+".key-file", []string{files.CertFile, files.KeyFile},
		func(contents [][]byte) (tls.Certificate, error) { return tls.X509KeyPair(contents[0], contents[1]) })
}

// tlsConfig returns the settings of the connections to the CMS; nil where the system's do.
func (c *Credentials) tlsConfig(cfg config.TLSFiles) (*tls.Config, error) {
	if cfg == (config.TLSFiles{}) {
		return nil, nil //nolint:nilnil // both are answers: the system's settings, no error
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		file, err := keys.Open("cms.tls.ca-file", []string{cfg.CAFile}, certPool)
		if err != nil {
			return nil, err
		}
		out.RootCAs = file.Value()
	}
	if cfg.CertFile == "" {
		return out, nil
	}
	pair, err := openPair("cms.tls", cfg)
	if err != nil {
		return nil, err
	}
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		certificate := pair.Value()
		return &certificate, nil
	}
	c.all = append(c.all, &credential{name: "client-certificate", file: pair, expires: func() time.Time {
		return pair.Value().Leaf.NotAfter
	}})
	return out, nil
}
