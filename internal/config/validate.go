package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/internal/finding"
)

// Validate reports everything that no command can work with, joined, a line each: values outside of their limits and
// pairs that contradict each other. It looks at the configuration only, not at files or the network.
func (c *Config) Validate() error { return finding.Join(findings(c.problems())...) }

// ValidateRun is Validate for `run`, which also needs to know where the CMS is.
func (c *Config) ValidateRun() error {
	problems := c.problems()
	if p, missing := c.missingURL(); missing {
		problems = append(problems, p)
	}
	return finding.Join(findings(problems)...)
}

func (c *Config) missingURL() (problem, bool) {
	k := lookup("cms.url")
	return wrong("is not set", fmt.Sprintf("set %s, --%s or the file's key to the CMS's base URL, for example %s", k.env(),
		k.name, k.example), k.name), c.CMS.URL == ""
}

// problems checks each value first, then the pairs of those that are fine.
func (c *Config) problems() []problem {
	var problems []problem
	bad := map[string]bool{}
	for i := range keys {
		if f := keys[i].bind(c).check(); f != nil {
			problems = append(problems, wrong(f.what, f.fix, keys[i].name))
			bad[keys[i].name] = true
		}
	}
	for _, p := range slices.Concat(c.cmsProblems(), c.kafkaPairs(), c.topicPairs(), c.cmsPairs(), c.limitPairs(),
		c.httpPairs(), c.registryPairs()) {
		if !p.about(bad) {
			problems = append(problems, p)
			bad[p.Key] = bad[p.Key] || len(p.with) == 0
		}
	}
	return problems
}

// bad reports whether a key's value is wrong by itself.
func (c *Config) bad(name string) bool {
	return lookup(name).bind(c).check() != nil || slices.ContainsFunc(c.cmsProblems(), func(p problem) bool {
		return len(p.with) == 0 && p.Key == name
	})
}

func (c *Config) kafkaPairs() (problems []problem) {
	report := func(what, fix string, names ...string) { problems = append(problems, wrong(what, fix, names...)) }

	if session, rebalance := c.Kafka.SessionTimeout, c.Kafka.RebalanceTimeout; session >= rebalance {
		report(fmt.Sprintf("%s is not below kafka.rebalance-timeout (%s)", formatDuration(session),
			formatDuration(rebalance)),
			"lower it or raise the other", "kafka.session-timeout", "kafka.rebalance-timeout")
	}
	switch sasl := c.Kafka.SASL; sasl.Mechanism {
	case SASLNone:
	case SASLOAuthBearer:
		problems = append(problems, sasl.OAuth.pairs()...)
	default:
		if sasl.Username == "" {
			report(sasl.Mechanism+" needs a user", "set kafka.sasl.username", "kafka.sasl.mechanism", "kafka.sasl.username")
		}
		if !sasl.Password.IsSet() && sasl.PasswordFile == "" {
			k := lookup("kafka.sasl.password")
			report(sasl.Mechanism+" needs a password", fmt.Sprintf("set %s or %s-file", k.env(), k.name),
				"kafka.sasl.mechanism", k.name, k.name+"-file")
		}
	}
	return append(problems, c.Kafka.TLS.pairs("kafka.tls")...)
}

// pairs: tokens come from one place, which is known whole.
func (o OAuth) pairs() (problems []problem) {
	const file, server, mechanism = "kafka.sasl.oauth.token-file", "kafka.sasl.oauth.token-url", "kafka.sasl.mechanism"
	report := func(what, fix string, names ...string) { problems = append(problems, wrong(what, fix, names...)) }
	switch {
	case o.TokenFile == "" && o.TokenURL == "":
		report("oauthbearer needs a token", "set "+file+", or "+server+" and what belongs to it", mechanism, file, server)
	case o.TokenFile != "" && o.TokenURL != "":
		report("is given, and so is "+server, "unset one of them", file, server)
	case o.TokenURL != "" && o.ClientID == "":
		report("needs a client id", "set kafka.sasl.oauth.client-id", server, "kafka.sasl.oauth.client-id")
	case o.TokenURL != "" && !o.ClientSecret.IsSet() && o.ClientSecretFile == "":
		k := lookup("kafka.sasl.oauth.client-secret")
		report("needs the client's secret", fmt.Sprintf("set %s or %s-file", k.env(), k.name), server, k.name, k.name+"-file")
	}
	return problems
}

func (c *Config) cmsPairs() (problems []problem) {
	report := func(what, fix string, names ...string) { problems = append(problems, wrong(what, fix, names...)) }

	if auth := c.CMS.Auth; auth.Method == AuthOAuth1 {
		if !auth.ConsumerKey.IsSet() && auth.ConsumerKeyFile == "" {
			k := lookup("cms.auth.consumer-key")
			report(auth.Method+" needs a consumer key", fmt.Sprintf("set %s or %s-file", k.env(), k.name),
				"cms.auth.method", k.name, k.name+"-file")
		}
		if auth.KeyFile == "" {
			report(auth.Method+" needs a signing key", "set cms.auth.key-file", "cms.auth.method", "cms.auth.key-file")
		}
	}
	return append(problems, c.CMS.TLS.pairs("cms.tls")...)
}

// pairs wants certificate and key together; section is where the files are named.
func (f TLSFiles) pairs(section string) []problem {
	cert, key := section+".cert-file", section+".key-file"
	switch {
	case f.CertFile != "" && f.KeyFile == "":
		return []problem{wrong("the certificate's key is missing", "set "+key+" too", cert, key)}
	case f.CertFile == "" && f.KeyFile != "":
		return []problem{wrong("the key's certificate is missing", "set "+cert+" too", key, cert)}
	}
	return nil
}

func (c *Config) topicPairs() (problems []problem) {
	// A record that balanceq writes into a topic that it or its users read as something else would go round for ever.
	names := []string{"topics.requests", "topics.results", "topics.deadletters", "topics.replays"}
	for i, topic := range []string{c.Topics.Requests, c.Topics.Results, c.Topics.DeadLetters, c.Topics.Replays} {
		if slices.Contains(c.Results.ReplyTopics, topic) {
			problems = append(problems, wrong(fmt.Sprintf("%q is also %s", topic, names[i]),
				"remove it; requests that name the results topic have their result there anyhow", "results.reply-topics", names[i]))
		}
		for _, other := range names[:i] {
			if lookup(other).bind(c).String() == topic {
				problems = append(problems, wrong(
					fmt.Sprintf("%q is also %s", topic, other), "give each its own topic", names[i], other))
			}
		}
	}
	return problems
}

// span is two keys of which the low one must not be above the high one.
type span struct {
	low, high string
	crossed   bool
	yields    string // the one of them that gives way when only the other is given
}

func (c *Config) spans() []span {
	return []span{
		{"cms.min-in-flight", "cms.max-in-flight", c.CMS.MinInFlight > c.CMS.MaxInFlight, "cms.min-in-flight"},
		{"cms.backoff.initial", "cms.backoff.max", c.CMS.Backoff.Initial > c.CMS.Backoff.Max, "cms.backoff.max"},
		{"cms.breaker.open-time", "cms.breaker.max-open-time", c.CMS.Breaker.OpenTime > c.CMS.Breaker.MaxOpenTime,
			"cms.breaker.max-open-time"},
		{"cms.cool-down", "cms.max-cool-down", c.CMS.CoolDown > c.CMS.MaxCoolDown, "cms.max-cool-down"},
	}
}

// watchdogKey is the one key that must be above several others.
const watchdogKey = "watchdog.after"

// slowest returns the key of what may take the longest with nothing wrong.
func (c *Config) slowest() (name string, d time.Duration) {
	name, d = "kafka.rebalance-timeout", c.Kafka.RebalanceTimeout
	for other, may := range map[string]time.Duration{
		"cms.timeout": c.CMS.Timeout, "cms.backoff.max": c.CMS.Backoff.Max,
		"consumer.commit-interval": c.Consumer.CommitInterval,
	} {
		if may > d || may == d && other < name {
			name, d = other, may
		}
	}
	return name, d
}

// windowKey is the one key that depends on twice another.
const windowKey = "cms.breaker.window"

func (c *Config) limitPairs() (problems []problem) {
	if b := c.CMS.Backoff; b.Initial > b.Max {
		problems = append(problems, wrong(
			fmt.Sprintf("%s is above cms.backoff.max (%s)", formatDuration(b.Initial), formatDuration(b.Max)),
			"lower it or raise the other", "cms.backoff.initial", "cms.backoff.max"))
	}
	if name, d := c.slowest(); d >= c.Watchdog.After {
		problems = append(problems, wrong(
			fmt.Sprintf("%s is not above %s (%s), which may take that long with nothing wrong",
				formatDuration(c.Watchdog.After), name, formatDuration(d)), "raise it or lower the other", watchdogKey, name))
	}
	if ahead, calls := c.Consumer.RunAhead, c.CMS.MaxInFlight; ahead < calls {
		problems = append(problems, wrong(
			fmt.Sprintf("%d is below cms.max-in-flight (%d), which a single partition could then never reach", ahead, calls),
			"raise it or lower the other", "consumer.run-ahead", "cms.max-in-flight"))
	}
	return problems
}
