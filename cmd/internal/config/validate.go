package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
)

// Validate reports everything that no command can work with, joined, a line each: values outside of their limits and
// pairs that contradict each other. It looks at the configuration only, not at files or the network.
func (c *Config) Validate() error { return join(c.problems()) }

// ValidateRun is Validate for `run`, which also needs to know where the CMS is.
func (c *Config) ValidateRun() error {
	problems := c.problems()
	if c.CMS.URL == "" {
		k := lookup("cms.url")
		problems = append(problems, problem{keys: []string{k.name}, text: fmt.Sprintf(
			"is not set; set %s, --%s or the file's key to the CMS's base URL, for example %s", k.env(), k.name, k.example)})
	}
	return join(problems)
}

// problems checks each value first, then the pairs of those that are fine.
func (c *Config) problems() []problem {
	var problems []problem
	bad := map[string]bool{}
	for i := range keys {
		if err := keys[i].bind(c).check(); err != nil {
			problems = append(problems, problem{keys: []string{keys[i].name}, text: err.Error()})
			bad[keys[i].name] = true
		}
	}
	if c.Delivery == DeliveryExactlyOnce {
		problems = append(problems, problem{keys: []string{"delivery"},
			text: "exactly-once is not available in this version; set at-least-once"})
	}
	for _, p := range slices.Concat(c.kafkaPairs(), c.topicPairs(), c.limitPairs()) {
		if !slices.ContainsFunc(p.keys, func(name string) bool { return bad[name] }) {
			problems = append(problems, p)
		}
	}
	return problems
}

func (c *Config) kafkaPairs() (problems []problem) {
	report := func(text string, names ...string) { problems = append(problems, problem{keys: names, text: text}) }

	if session, rebalance := c.Kafka.SessionTimeout, c.Kafka.RebalanceTimeout; session >= rebalance {
		report(fmt.Sprintf("%s is not below kafka.rebalance-timeout (%s); lower it or raise the other",
			formatDuration(session), formatDuration(rebalance)), "kafka.session-timeout", "kafka.rebalance-timeout")
	}
	if tls := c.Kafka.TLS; tls.CertFile != "" && tls.KeyFile == "" {
		report("the certificate's key is missing; set kafka.tls.key-file too", "kafka.tls.cert-file", "kafka.tls.key-file")
	} else if tls.CertFile == "" && tls.KeyFile != "" {
		report("the key's certificate is missing; set kafka.tls.cert-file too", "kafka.tls.key-file", "kafka.tls.cert-file")
	}
	if sasl := c.Kafka.SASL; sasl.Mechanism != SASLNone {
		if sasl.Username == "" {
			report(sasl.Mechanism+" needs a user; set kafka.sasl.username", "kafka.sasl.mechanism", "kafka.sasl.username")
		}
		if !sasl.Password.IsSet() && sasl.PasswordFile == "" {
			k := lookup("kafka.sasl.password")
			report(fmt.Sprintf("%s needs a password; set %s or %s-file", sasl.Mechanism, k.env(), k.name),
				"kafka.sasl.mechanism", k.name, k.name+"-file")
		}
	}
	return problems
}

func (c *Config) topicPairs() (problems []problem) {
	// A record that balanceq writes into a topic that it or its users read as something else would go round for ever.
	names := []string{"topics.requests", "topics.results", "topics.deadletters"}
	for i, topic := range []string{c.Topics.Requests, c.Topics.Results, c.Topics.DeadLetters} {
		for _, other := range names[:i] {
			if lookup(other).bind(c).String() == topic {
				problems = append(problems, problem{keys: []string{names[i], other},
					text: fmt.Sprintf("%q is also %s; give each its own topic", topic, other)})
			}
		}
	}
	return problems
}

func (c *Config) limitPairs() (problems []problem) {
	if first, most := c.CMS.Backoff.Initial, c.CMS.Backoff.Max; first > most {
		problems = append(problems, problem{keys: []string{"cms.backoff.initial", "cms.backoff.max"},
			text: fmt.Sprintf("%s is above cms.backoff.max (%s); lower it or raise the other",
				formatDuration(first), formatDuration(most))})
	}
	if ahead, calls := c.Consumer.RunAhead, c.CMS.MaxInFlight; ahead < calls {
		problems = append(problems, problem{keys: []string{"consumer.run-ahead", "cms.max-in-flight"},
			text: fmt.Sprintf("%d is below cms.max-in-flight (%d), which a single partition could then never reach; "+
				"raise it or lower the other", ahead, calls)})
	}
	return problems
}

// warnings returns what works and is probably not meant. The configuration must be valid.
func (c *Config) warnings() (warnings []problem) {
	warn := func(text string, names ...string) { warnings = append(warnings, problem{keys: names, text: text}) }

	if c.Shutdown.Timeout < c.CMS.Timeout {
		warn(fmt.Sprintf("%s is below cms.timeout (%s), so calls may be cut off and repeated after each restart; raise it",
			formatDuration(c.Shutdown.Timeout), formatDuration(c.CMS.Timeout)), "shutdown.timeout", "cms.timeout")
	}
	if u, err := url.Parse(c.CMS.URL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		warn("balances travel unencrypted over http; use https", "cms.url")
	}
	tls := c.Kafka.TLS
	if !tls.Enabled {
		for _, k := range []struct{ name, file string }{
			{"kafka.tls.ca-file", tls.CAFile}, {"kafka.tls.cert-file", tls.CertFile}, {"kafka.tls.key-file", tls.KeyFile},
		} {
			if k.file != "" {
				warn("has no effect while kafka.tls.enabled is false; set that to true", k.name, "kafka.tls.enabled")
			}
		}
	}
	sasl := c.Kafka.SASL
	if sasl.Mechanism == SASLNone && (sasl.Username != "" || sasl.Password.IsSet()) {
		warn("is none, so the user and password have no effect; set it to the brokers' mechanism", "kafka.sasl.mechanism")
	}
	if sasl.Mechanism == SASLPlain && !tls.Enabled && slices.ContainsFunc(c.Kafka.Brokers, isRemote) {
		warn("plain sends the password unencrypted; set kafka.tls.enabled to true", "kafka.sasl.mechanism", "kafka.tls.enabled")
	}
	return warnings
}

func isRemote(broker string) bool {
	host, _, err := net.SplitHostPort(broker)
	return err == nil && !isLoopback(host)
}
