package preflight

import (
	"context"
	"fmt"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// lacks is the finding that the brokers do not allow this instance something.
func lacks(k config.Kafka, right rights.Right) finding.Finding {
	who := "User:ANONYMOUS" // which is what brokers call a client that does not say who it is
	switch {
	case k.SASL.Mechanism == config.SASLOAuthBearer:
		who = "User:<subject of the token>"
	case k.SASL.Mechanism != config.SASLNone:
		who = "User:" + k.SASL.Username
	case k.TLS.Enabled && k.TLS.CertFile != "":
		who = "User:<subject of kafka.tls.cert-file>"
	}
	what := "the " + right.Kind
	if right.Name != "" {
		what = right.Kind + " " + right.Name
	}
	return finding.Finding{Severity: finding.Fail,
		What: fmt.Sprintf("the brokers do not allow %s the operation %s on %s", who, right.Operation, what),
		Fix:  "add the ACL: " + right.Command(k, who),
	}
}

// lacksTopic is lacks for a topic.
func lacksTopic(k config.Kafka, operation, name string) finding.Finding {
	return lacks(k, rights.Right{Operation: operation, Kind: rights.Topic, Name: name})
}

// merely makes a warning of the finding that a right is missing, and says what does not work without it.
func merely(f finding.Finding, without string) finding.Finding {
	f.Severity, f.What = finding.Warn, f.What+": "+without
	return f
}

// lackingTimeout is short: somebody waits to be told of an error.
const lackingTimeout = 5 * time.Second

// Lacking is which of the rights of a purpose are missing, for a client that was refused one of them. What the brokers
// do not tell, and no refusal says, is left out.
func Lacking(ctx context.Context, cfg config.Config, purpose rights.Purpose, refusal error) []finding.Finding {
	settings, err := connect.Kafka(cfg)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lackingTimeout)
	defer cancel()
	client := kafkawire.NewClient(settings)
	defer client.Close()
	all := rights.For(cfg, purpose)
	var topics []string
	for _, r := range all {
		if r.Kind == rights.Topic {
			topics = append(topics, r.Name)
		}
	}
	allowed, err := inspect.TopicOperations(ctx, client, topics)
	if err != nil {
		return nil
	}
	var found []finding.Finding
	for _, r := range all {
		missing := false
		switch operations, known := allowed[r.Name]; r.Kind {
		case rights.Topic:
			missing = known && !operations.Allow(r.Operation)
		case rights.Group:
			missing = kafkawire.GroupForbidden(refusal)
		case rights.TransactionalID:
			missing = kafkawire.TransactionForbidden(refusal)
		case rights.Cluster:
			missing = r.Without == "" // nothing asks for another one
		}
		switch {
		case missing && r.Without == "":
			found = append(found, lacks(cfg.Kafka, r))
		case missing:
			found = append(found, merely(lacks(cfg.Kafka, r), "without it, "+r.Without))
		}
	}
	return found
}
