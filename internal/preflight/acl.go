package preflight

import (
	"fmt"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

// lacksACL is the finding that the brokers do not allow this instance something. kind is that of kafka-acls.sh's flags.
func lacksACL(k config.Kafka, operation, kind, name string) finding.Finding {
	who := "User:ANONYMOUS" // which is what brokers call a client that does not say who it is
	switch {
	case k.SASL.Mechanism != config.SASLNone:
		who = "User:" + k.SASL.Username
	case k.TLS.Enabled && k.TLS.CertFile != "":
		who = "User:<subject of kafka.tls.cert-file>"
	}
	return finding.Finding{Severity: finding.Fail,
		What: fmt.Sprintf("the brokers do not allow %s the operation %s on %s %s", who, operation, kind, name),
		Fix: fmt.Sprintf(
			"add the ACL: kafka-acls.sh --bootstrap-server %s --add --allow-principal '%s' --operation %s --%s %s",
			k.Brokers[0], who, operation, kind, name),
	}
}
