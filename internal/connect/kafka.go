package connect

import (
	"errors"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/kafkawire"
)

// Kafka turns the configuration into connection settings; it reads the TLS files. Its errors are
// *finding.Error.
func Kafka(cfg config.Config) (kafkawire.Settings, error) {
	k := cfg.Kafka
	s := kafkawire.Settings{Brokers: k.Brokers, ClientID: k.ClientID}
	var err error
	if k.TLS.Enabled {
		if s.TLS, err = (kafkawire.TLSFiles{CA: k.TLS.CAFile, Cert: k.TLS.CertFile, Key: k.TLS.KeyFile}).Load(); err != nil {
			return s, kafkaInParts(err)
		}
	}
	if s.SASL, err = kafkawire.SASL(k.SASL.Mechanism, k.SASL.Username, k.SASL.Password.Reveal()); err != nil {
		return s, kafkaInParts(err)
	}
	return s, nil
}

// kafkaInParts makes a finding of what kafkawire finds wrong with its settings.
func kafkaInParts(err error) error {
	wrong, ok := errors.AsType[*kafkawire.SettingError](err)
	if !ok {
		return err
	}
	return &finding.Error{Err: err, Findings: []finding.Finding{{
		Key: config.KafkaKeyOf(wrong.Field), What: wrong.Problem(), Fix: wrong.Fix, Severity: finding.Fail,
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
