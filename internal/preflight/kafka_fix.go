package preflight

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/kafkawire"
)

// KafkaFix is what to do about an error of asking the cluster for something.
func KafkaFix(err error) string {
	if advertised, ok := errors.AsType[*kafkawire.AdvertisedError](err); ok {
		return fmt.Sprintf("correct advertised.listeners of the broker, so that clients can resolve and reach it, "+
			"or open the way from here to %s; kafka.brokers itself is right", advertised.Address)
	}
	if _, is := errors.AsType[*kafkawire.ListenerError](err); is {
		return "correct kafka.tls.enabled, kafka.sasl.mechanism, or the port in kafka.brokers: a cluster has a listener " +
			"for each way"
	}
	if own, is := errors.AsType[*kafkawire.CertificateError](err); is {
		if own.Missing {
			return "set kafka.tls.cert-file and kafka.tls.key-file to the certificate that the brokers know this client by"
		}
		return "check that the brokers trust the authority of kafka.tls.cert-file, and that it has not expired"
	}
	if theirs, is := errors.AsType[*tls.CertificateVerificationError](err); is {
		return trustFix(theirs.Err)
	}
	if _, is := errors.AsType[*connect.TokenError](err); is {
		return "check kafka.sasl.oauth: the address of its server, the client's id and secret, the scopes"
	}
	switch {
	case kafkawire.LoginRefused(err):
		return "check kafka.sasl.mechanism, and the user and password or the token that go with it"
	case kafkawire.Forbidden(err):
		return "give this user the rights that it lacks: balanceq acls prints the kafka-acls.sh lines"
	case kafkawire.NoCoordinator(err):
		return "with fewer than 3 brokers, lower their offsets.topic.replication.factor, " +
			"transaction.state.log.replication.factor and transaction.state.log.min.isr"
	case errors.Is(err, kafkawire.ErrNoLeader):
		return kafkawire.Fix(err)
	}
	return "check kafka.brokers (and kafka.tls, kafka.sasl), or start the cluster"
}

// trustFix says what to do about a broker's certificate that is not trusted.
func trustFix(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "correct kafka.brokers or the brokers' advertised.listeners, or set kafka.tls.server-name to a name that " +
			"the certificate has"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "check this machine's clock; if it is right, the brokers need a new certificate"
	}
	return "set kafka.tls.ca-file to the authority that signs the brokers' certificates"
}
