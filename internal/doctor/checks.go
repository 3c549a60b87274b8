package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
)

// Names of the checks.
const (
	configuration     = "configuration"
	signingKey        = "signing key"
	decryptionKeys    = "decryption keys"
	clientCertificate = "client certificate"
	kafka             = "Kafka"
	brokers           = "brokers"
	topics            = "topics"
	order             = "order"
	group             = "group"
	transactions      = "transactions"
	dns               = "DNS"
	tcp               = "TCP"
	tlsHandshake      = "TLS"
	clock             = "clock"
	balance           = "balance"
)

// timeout bounds what asks the network, each time; the call for a balance has cms.timeout.
const timeout = 10 * time.Second

// Subject is what to check.
type Subject struct {
	Loaded  *config.Loaded   // nil: LoadErr says why, and only the configuration can be checked
	LoadErr error            // of config.Load
	Version string           // of the program, for the User-Agent
	Query   *cmsclient.Query // what to ask the CMS; nil: the CMS is asked for no balance
}

// Checks returns the checks in the order in which they make sense.
func Checks(s Subject) []Check {
	var cfg config.Config
	if s.Loaded != nil {
		cfg = s.Loaded.Config
	}
	offline := func(f func(config.Config) []finding.Finding) func(context.Context) []finding.Finding {
		return func(context.Context) []finding.Finding { return f(cfg) }
	}
	online := func(f func(context.Context, config.Config) []finding.Finding) func(context.Context) []finding.Finding {
		return func(ctx context.Context) []finding.Finding {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return f(ctx, cfg)
		}
	}
	checks := []Check{
		{configuration, nil, func(context.Context) []finding.Finding { return checkConfiguration(s) }},
		{signingKey, []string{configuration}, offline(checkSigningKey)},
		{decryptionKeys, []string{configuration}, offline(checkDecryptionKeys)},
		{clientCertificate, []string{configuration}, offline(checkClientCertificate)},
		{kafka, []string{configuration}, online(checkKafka)},
		{brokers, []string{kafka}, online(fromRun(preflight.CheckBrokers))},
		{topics, []string{brokers}, online(fromRun(preflight.CheckTopics))},
		{order, []string{topics}, online(checkOrder)},
		{group, []string{brokers}, online(fromRun(preflight.CheckGroup))},
		{dns, []string{configuration}, online(checkDNS)},
		{tcp, []string{dns}, online(checkTCP)},
		{tlsHandshake, []string{tcp, clientCertificate}, online(checkTLS)},
		{clock, []string{tlsHandshake}, online(checkClock)},
	}
	if cfg.Delivery == config.DeliveryExactlyOnce {
		after := slices.IndexFunc(checks, func(c Check) bool { return c.Name == group })
		checks = slices.Insert(checks, after+1, Check{transactions, []string{brokers},
			online(fromRun(preflight.CheckTransactions))})
	}
	if s.Query != nil {
		checks = append(checks, Check{balance, []string{tlsHandshake, signingKey, decryptionKeys},
			func(ctx context.Context) []finding.Finding { return checkBalance(ctx, cfg, s.Version, *s.Query) }})
	}
	return checks
}

// connection returns the settings that run would connect to the CMS with, without what proves who calls: a key
// that cannot be read is another check's business.
func connection(cfg config.Config) (cmsclient.Config, error) {
	cfg.CMS.Auth = config.Auth{Method: config.AuthNone}
	cfg.CMS.Decryption.KeyFiles = nil
	c, _, err := connect.CMS(cfg, "doctor")
	return c, err
}
