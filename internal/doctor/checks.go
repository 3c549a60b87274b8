package doctor

import (
	"context"
	"fmt"
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
	files             = "open files"
	signingKey        = "signing key"
	decryptionKeys    = "decryption keys"
	clientCertificate = "client certificate"
	authorities       = "authorities"
	adminAccess       = "admin access"
	kafkaFiles        = "Kafka files"
	registryFiles     = "registry files"
	schemaRegistry    = "schema registry"
	kafka             = "Kafka"
	brokers           = "brokers"
	topics            = "topics"
	order             = "order"
	replies           = "replies"
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
	Loaded   *config.Loaded
	Problems []config.Problem // what is wrong with it
	Version  string           // of the program, for the User-Agent
	Query    *cmsclient.Query // what to ask the CMS; nil: the CMS is asked for no balance
}

// Checks returns the checks in the order in which they make sense.
func Checks(s Subject) []Check {
	cfg := s.Loaded.Config
	online := func(f func(context.Context, config.Config) []finding.Finding) func(context.Context) []finding.Finding {
		return func(ctx context.Context) []finding.Finding {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return f(ctx, cfg)
		}
	}
	wanted := newWishes(cfg) // one look at the requests serves two checks
	checks := []Check{
		{configuration, nil, nil, func(context.Context) []finding.Finding { return checkConfiguration(s) }},
		{files, nil, []string{"cms.max-in-flight", "cms.hedge-after"}, offline(checkFiles, cfg)},
	}
	checks = append(checks, localFiles(cfg)...)
	checks = append(checks,
		Check{kafka, []string{kafkaFiles}, []string{"kafka", "topics.requests"}, online(checkKafka)},
		Check{brokers, []string{kafka}, []string{"delivery"}, online(fromRun(preflight.CheckBrokers))},
		Check{topics, []string{brokers}, []string{"topics"}, online(fromRun(preflight.CheckTopics))},
		Check{order, []string{topics}, nil, online(func(ctx context.Context, cfg config.Config) []finding.Finding {
			return checkOrder(ctx, cfg, wanted)
		})},
		Check{replies, []string{order}, []string{"results.reply-topics"}, offline(func(cfg config.Config) []finding.Finding {
			return wanted.describe(cfg.Topics.Requests)
		}, cfg)},
		Check{group, []string{brokers}, nil, online(fromRun(preflight.CheckGroup))})
	if cfg.Delivery == config.DeliveryExactlyOnce {
		checks = append(checks, Check{transactions, []string{brokers}, []string{"instance"},
			online(fromRun(preflight.CheckTransactions))})
	}
	if cfg.AsksRegistry() {
		checks = append(checks, Check{schemaRegistry, []string{registryFiles},
			[]string{"requests.registry", "results.registry", "schema-registry"}, online(preflight.CheckRegistry)})
	}
	checks = append(checks,
		Check{dns, nil, []string{"cms.url", "cms.proxy"}, online(checkDNS)},
		Check{tcp, []string{dns}, nil, online(checkTCP)},
		Check{tlsHandshake, []string{tcp, clientCertificate, authorities}, []string{"cms.tls"}, online(checkTLS)},
		Check{clock, []string{tlsHandshake}, nil, online(checkClock)})
	if s.Query != nil {
		checks = append(checks, Check{balance, []string{tlsHandshake, signingKey, decryptionKeys}, []string{"cms"},
			func(ctx context.Context) []finding.Finding { return checkBalance(ctx, cfg, s.Version, *s.Query) }})
	}
	return checks
}

// localFiles are the checks of the files that the configuration names.
func localFiles(cfg config.Config) []Check {
	checks := []Check{
		{signingKey, nil, []string{"cms.auth"}, offline(checkSigningKey, cfg)},
		{decryptionKeys, nil, []string{"cms.decryption"}, offline(checkDecryptionKeys, cfg)},
		{authorities, nil, []string{"cms.tls"}, offline(checkAuthorities, cfg)},
		{clientCertificate, nil, []string{"cms.tls"}, offline(checkClientCertificate, cfg)},
		{kafkaFiles, nil, []string{"kafka.tls", "kafka.sasl"}, offline(checkKafkaFiles, cfg)},
		{adminAccess, nil, []string{"http"}, offline(checkAdminAccess, cfg)},
	}
	if cfg.AsksRegistry() {
		checks = append(checks, Check{registryFiles, nil, []string{"schema-registry"}, offline(checkRegistryFiles, cfg)})
	}
	return checks
}

// Files is what is wrong with the files that a configuration names, or soon will be.
func Files(cfg config.Config) (found []finding.Finding) {
	for _, check := range localFiles(cfg) {
		found = append(found, check.Run(context.Background())...)
	}
	found = append(found, checkHeaders(cfg)...)
	return slices.DeleteFunc(found, func(f finding.Finding) bool { return f.Severity == finding.OK })
}

func offline(f func(config.Config) []finding.Finding, cfg config.Config) func(context.Context) []finding.Finding {
	return func(context.Context) []finding.Finding { return f(cfg) }
}

func checkFiles(cfg config.Config) []finding.Finding {
	if found := preflight.CheckFiles(cfg); len(found) > 0 {
		return found
	}
	return ok(fmt.Sprintf("enough for %d calls at a time", cfg.CMS.MaxInFlight))
}

// connection returns the settings that run would connect to the CMS with, without what proves who calls: a key
// that cannot be read is another check's business.
func connection(cfg config.Config) (cmsclient.Config, error) {
	cfg.CMS.Auth = config.Auth{Method: config.AuthNone}
	cfg.CMS.Decryption.KeyFiles = nil
	c, _, err := connect.CMS(cfg, "doctor")
	return c, err
}
