package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// warnings returns what works and is probably not meant. The configuration must be valid.
func (c *Config) warnings() (warnings []problem) {
	if c.Shutdown.Timeout < c.CMS.Timeout {
		warnings = append(warnings, odd(
			fmt.Sprintf("%s is below cms.timeout (%s), so calls may be cut off and repeated after each restart",
				formatDuration(c.Shutdown.Timeout), formatDuration(c.CMS.Timeout)), "raise it", "shutdown.timeout", "cms.timeout"))
	}
	if u, err := url.Parse(c.Telemetry.OTLP.Endpoint); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) &&
		c.Telemetry.OTLP.Headers.IsSet() {
		warnings = append(warnings, odd("over http anybody on the way can read the headers", "use https",
			"telemetry.otlp.endpoint", "telemetry.otlp.headers"))
	}
	if len(c.Results.ReplyTopics) > 0 && !c.Results.PublishFailures {
		warnings = append(warnings, odd("who waits there hears of no failure while results.publish-failures is false",
			"set that to true", "results.reply-topics", "results.publish-failures"))
	}
	return slices.Concat(warnings, c.cmsWarnings(), c.kafkaWarnings(), c.httpWarnings(), c.registryWarnings())
}

func (c *Config) cmsWarnings() (warnings []problem) {
	warn := func(what, fix string, names ...string) { warnings = append(warnings, odd(what, fix, names...)) }

	u, err := url.Parse(c.CMS.URL)
	if err != nil {
		u = new(url.URL) // no valid configuration has it, and nothing below fits it
	}
	open := u.Scheme == "http" && !isLoopback(u.Hostname())
	if open {
		warn("balances travel unencrypted over http", "use https", "cms.url")
	}
	auth := c.CMS.Auth
	switch auth.Method {
	case AuthNone:
		if auth.ConsumerKey.IsSet() || auth.KeyFile != "" || auth.KeyPassword.IsSet() {
			warn("is none, so consumer key and signing key have no effect", "set it to oauth1", "cms.auth.method")
		}
		if isMastercard(u.Hostname()) {
			warn("is none, but Mastercard's gateway refuses unsigned calls", "set it to oauth1", "cms.auth.method", "cms.url")
		}
	case AuthOAuth1:
		if !consumerKeyShape.MatchString(auth.ConsumerKey.Reveal()) {
			warn(`is not of the usual shape (48 characters, "!", 48 characters)`, "copy it again from Mastercard Developers",
				"cms.auth.consumer-key")
		}
		if open {
			warn("over http anybody on the way can read the consumer key and change the answers to signed calls", "use https",
				"cms.auth.method", "cms.url")
		}
		if u.Scheme == "https" && isMastercard(u.Hostname()) && len(c.CMS.Decryption.KeyFiles) == 0 {
			warn("is empty, but answers may be encrypted", "name the file of the Mastercard Encryption Key",
				"cms.decryption.key-files", "cms.url")
		}
	}
	return warnings
}

func (c *Config) kafkaWarnings() (warnings []problem) {
	warn := func(what, fix string, names ...string) { warnings = append(warnings, odd(what, fix, names...)) }

	tls := c.Kafka.TLS
	if !tls.Enabled {
		for _, k := range []struct{ name, file string }{
			{"kafka.tls.ca-file", tls.CAFile}, {"kafka.tls.cert-file", tls.CertFile}, {"kafka.tls.key-file", tls.KeyFile},
		} {
			if k.file != "" {
				warn("has no effect while kafka.tls.enabled is false", "set that to true", k.name, "kafka.tls.enabled")
			}
		}
	}
	sasl := c.Kafka.SASL
	if sasl.Mechanism == SASLNone && (sasl.Username != "" || sasl.Password.IsSet()) {
		warn("is none, so the user and password have no effect", "set it to the brokers' mechanism", "kafka.sasl.mechanism")
	}
	if sasl.Mechanism == SASLPlain && !tls.Enabled && slices.ContainsFunc(c.Kafka.Brokers, isRemote) {
		warn("plain sends the password unencrypted", "set kafka.tls.enabled to true", "kafka.sasl.mechanism",
			"kafka.tls.enabled")
	}
	if sasl.Mechanism == SASLOAuthBearer && !tls.Enabled && slices.ContainsFunc(c.Kafka.Brokers, isRemote) {
		warn("oauthbearer sends the token unencrypted", "set kafka.tls.enabled to true", "kafka.sasl.mechanism",
			"kafka.tls.enabled")
	}
	if strings.HasPrefix(sasl.OAuth.TokenURL, "http:") {
		warn("over http anybody on the way can read the client's secret", "use https", "kafka.sasl.oauth.token-url")
	}
	if c.Kafka.LeaveOnStop && c.Kafka.InstanceID == "" {
		warn("has no effect without kafka.instance-id: such an instance always leaves", "set that too, or neither",
			"kafka.leave-on-stop", "kafka.instance-id")
	}
	return warnings
}

func isRemote(broker string) bool {
	host, _, err := net.SplitHostPort(broker)
	return err == nil && !isLoopback(host)
}
