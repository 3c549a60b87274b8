package preflight

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/kafkawire"
)

// What to do about an error names the keys that it is about.
func TestKafkaFix(t *testing.T) {
	t.Parallel()
	untrusted := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	seen := errors.New("what was seen")
	for _, test := range []struct {
		err  error
		want string
	}{
		{&kafkawire.AdvertisedError{Address: "kafka-1:9093", Err: seen}, "advertised.listeners"},
		{&kafkawire.ListenerError{What: "the listener asks for no login"}, "kafka.sasl.mechanism"},
		{&kafkawire.CertificateError{Missing: true, Err: seen}, "kafka.tls.cert-file and kafka.tls.key-file"},
		{&kafkawire.CertificateError{Err: seen}, "has not expired"},
		{untrusted(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "kafka-1"}), "kafka.tls.server-name"},
		{untrusted(x509.CertificateInvalidError{Reason: x509.Expired}), "clock"},
		{untrusted(x509.UnknownAuthorityError{}), "kafka.tls.ca-file"},
		{&connect.TokenError{Err: seen}, "kafka.sasl.oauth"},
		{kafka.SASLAuthenticationFailed, "password or the token"},
		{kafka.TopicAuthorizationFailed, "balanceq acls"},
		{kafka.GroupCoordinatorNotAvailable, "offsets.topic.replication.factor"},
		{kafkawire.ErrNoLeader, "bring the partition's brokers back"},
		{seen, "kafka.brokers"},
	} {
		if got := KafkaFix(fmt.Errorf("listing the brokers: %w", test.err)); !strings.Contains(got, test.want) {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}
