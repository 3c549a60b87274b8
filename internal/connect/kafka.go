package connect

import (
	"bytes"
	"crypto/tls"
	"errors"
	"time"

	"github.com/balanceq/balanceq/cmsclient/keys"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/kafkawire"
)

// Kafka turns the configuration into connection settings. It reads the files of TLS, passwords and tokens, and each
// connection reads them again. Its errors are *finding.Error.
func Kafka(cfg config.Config) (kafkawire.Settings, error) { return (&Credentials{}).Kafka(cfg) }

// Kafka is the same for who looks after the files from then on, as after the keys for the CMS.
func (c *Credentials) Kafka(cfg config.Config) (kafkawire.Settings, error) {
	k := cfg.Kafka
	s := kafkawire.Settings{Brokers: k.Brokers, ClientID: k.ClientID}
	var failed [2]error
	if k.TLS.Enabled {
		s.TLS, failed[0] = c.kafkaTLS(k.TLS)
	}
	s.SASL, failed[1] = c.login(k.SASL)
	for i, err := range failed {
		failed[i] = kafkaInParts(err)
	}
	return s, errors.Join(failed[:]...)
}

// kafkaTLS makes the settings of each connection by the files as they are then.
func (c *Credentials) kafkaTLS(cfg config.TLS) (func() *tls.Config, error) {
	settings, err := c.tlsFiles("kafka.tls", "kafka", cfg.TLSFiles)
	if err != nil {
		return nil, err
	}
	return func() *tls.Config {
		now := settings()
		now.ServerName = cfg.ServerName
		return now
	}, nil
}

// login is how connections to Kafka say who they are; nil: they do not.
func (c *Credentials) login(cfg config.SASL) (kafkawire.Login, error) {
	if cfg.Mechanism == config.SASLOAuthBearer {
		return c.bearer(cfg.OAuth)
	}
	password, err := c.secret("kafka-password", "kafka.sasl.password-file", cfg.Password, cfg.PasswordFile)
	if err != nil {
		return nil, err
	}
	return kafkawire.SASL(cfg.Mechanism, cfg.Username, password)
}

// secret is one as it was given, or as its file has it then.
func (c *Credentials) secret(name, key string, given config.Secret, path string) (func() string, error) {
	if path == "" {
		return given.Reveal, nil
	}
	file, err := keys.Open(key, []string{path}, func(contents [][]byte) (string, error) {
		text := bytes.TrimRight(contents[0], "\r\n")
		if len(text) == 0 {
			return "", &keys.FileError{What: "the file is empty", Fix: "write the secret into it"}
		}
		return string(text), nil
	})
	if err != nil {
		return nil, err
	}
	c.all = append(c.all, &credential{name: name, file: file, expires: never})
	return file.Latest, nil
}

// kafkaInParts makes findings of what the libraries find wrong with files and settings.
func kafkaInParts(err error) error {
	wrong, ok := errors.AsType[*kafkawire.SettingError](err)
	if !ok {
		return inParts(err)
	}
	return &finding.Error{Err: err, Findings: []finding.Finding{{
		Key: "kafka.sasl.mechanism", What: wrong.Problem(), Fix: wrong.Fix, Severity: finding.Fail,
	}}}
}

// Start is kafka.start as ListOffsets takes it: kafkawire.Earliest, kafkawire.Latest, or milliseconds since 1970. An
// age counts from now.
func Start(text string, now time.Time) int64 {
	switch text {
	case config.StartEarliest:
		return kafkawire.Earliest
	case config.StartLatest:
		return kafkawire.Latest
	}
	at, err := config.ParseStart(text, now)
	if err != nil { // cannot be: it has been validated
		return kafkawire.Earliest
	}
	return at.UnixMilli()
}
