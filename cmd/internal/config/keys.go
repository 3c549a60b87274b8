package config

import (
	"math"
	"strings"
	"time"
)

// key is one setting: a row of the table below, which is the only place that knows about single keys.
type key struct {
	name    string // as in the file and the flag
	def     string // default, as a user would write it
	defNote string // what the documentation says instead of an empty default
	example string // a value other than the default
	help    string // one sentence, without a full stop
	bind    func(*Config) value
}

// envPrefix starts the name of every environment variable of ours.
const envPrefix = "BALANCEQ_"

// env returns the name of the key's environment variable.
func (k *key) env() string { return envName(k.name) }

func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// secret says that the key is neither a flag nor a key of the file; the key of the same name and "-file" goes with it.
func (k *key) secret() bool {
	_, ok := k.bind(new(Config)).(password)
	return ok
}

// helpText returns the help with what is to be said of an empty default.
func (k *key) helpText() string {
	if k.defNote == "" {
		return k.help
	}
	return k.help + " (default: " + k.defNote + ")"
}

// lookup returns the key of that name, or nil.
func lookup(name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

// Limits that several keys share. The sizes end up in 32-bit fields of Kafka's protocol.
const (
	shortest = time.Millisecond
	longest  = time.Hour
	maxSize  = math.MaxInt32
)

// keys is the table, in the order of the documentation; the keys of one section stand together.
var keys = []key{
	{name: "kafka.brokers", def: "127.0.0.1:9092", example: "kafka-1:9092,kafka-2:9092",
		help: "Brokers to ask first for the cluster's addresses, host:port each",
		bind: func(c *Config) value { return list{&c.Kafka.Brokers, checkBrokers} }},
	{name: "kafka.group", def: "balanceq", example: "balanceq-staging",
		help: "Consumer group; instances of one group share the partitions",
		bind: func(c *Config) value { return text{&c.Kafka.Group, checkName} }},
	{name: "kafka.start", def: StartEarliest, example: StartLatest,
		help: "Where to start in a partition for which the group has no committed offset",
		bind: func(c *Config) value { return choice{&c.Kafka.Start, []string{StartEarliest, StartLatest}} }},
	{name: "kafka.client-id", def: "balanceq", example: "balanceq-eu",
		help: "Name of this client in the brokers' logs, metrics and quotas",
		bind: func(c *Config) value { return text{&c.Kafka.ClientID, checkName} }},
	// The limits are the brokers' defaults of group.min.session.timeout.ms and group.max.session.timeout.ms.
	{name: "kafka.session-timeout", def: "10s", example: "30s",
		help: "An instance without a heartbeat for this long loses its partitions",
		bind: func(c *Config) value { return duration{&c.Kafka.SessionTimeout, 6 * time.Second, 30 * time.Minute} }},
	{name: "kafka.rebalance-timeout", def: "60s", example: "2m",
		help: "Time an instance has to finish its work and rejoin the group in a rebalance",
		bind: func(c *Config) value { return duration{&c.Kafka.RebalanceTimeout, 7 * time.Second, longest} }},
	{name: "kafka.tls.enabled", def: "false", example: "true",
		help: "Encrypt the connections to Kafka",
		bind: func(c *Config) value { return boolean{&c.Kafka.TLS.Enabled} }},
	{name: "kafka.tls.ca-file", defNote: "the system's authorities", example: "/etc/balanceq/ca.pem",
		help: "PEM file of the authorities that may have signed the brokers' certificates",
		bind: func(c *Config) value { return text{&c.Kafka.TLS.CAFile, nil} }},
	{name: "kafka.tls.cert-file", example: "/etc/balanceq/client.pem",
		help: "PEM file of the certificate by which the brokers know this client",
		bind: func(c *Config) value { return text{&c.Kafka.TLS.CertFile, nil} }},
	{name: "kafka.tls.key-file", example: "/etc/balanceq/client-key.pem",
		help: "PEM file of that certificate's private key",
		bind: func(c *Config) value { return text{&c.Kafka.TLS.KeyFile, nil} }},
	{name: "kafka.sasl.mechanism", def: SASLNone, example: SASLScramSHA512,
		help: "How to log in to Kafka",
		bind: func(c *Config) value {
			return choice{&c.Kafka.SASL.Mechanism, []string{SASLNone, SASLPlain, SASLScramSHA256, SASLScramSHA512}}
		}},
	{name: "kafka.sasl.username", example: "balanceq",
		help: "User to log in as",
		bind: func(c *Config) value { return text{&c.Kafka.SASL.Username, nil} }},
	{name: "kafka.sasl.password", example: "from the environment",
		help: "That user's password; a secret, so neither a flag nor a key of the file",
		bind: func(c *Config) value { return password{&c.Kafka.SASL.Password} }},
	{name: "kafka.sasl.password-file", example: "/run/secrets/kafka-password",
		help: "File that holds the password; a line end at its end is ignored",
		bind: func(c *Config) value { return text{&c.Kafka.SASL.PasswordFile, nil} }},

	{name: "topics.requests", def: "balance.requests", example: "staging.balance.requests",
		help: "Topic the requests are read from",
		bind: func(c *Config) value { return text{&c.Topics.Requests, checkTopic} }},
	{name: "topics.results", def: "balance.results", example: "staging.balance.results",
		help: "Topic the results are written to",
		bind: func(c *Config) value { return text{&c.Topics.Results, checkTopic} }},
	{name: "topics.deadletters", def: "balance.deadletters", example: "staging.balance.deadletters",
		help: "Topic the dead letters are written to",
		bind: func(c *Config) value { return text{&c.Topics.DeadLetters, checkTopic} }},

	{name: "cms.url", defNote: "none; run needs one", example: "https://sandbox.api.mastercard.com/global-processing/core",
		help: "Base URL of the CMS; /contracts/… is appended to it",
		bind: func(c *Config) value { return text{&c.CMS.URL, checkURL} }},
	{name: "cms.max-in-flight", def: "256", example: "64",
		help: "Most calls to the CMS at one time",
		bind: func(c *Config) value { return count{&c.CMS.MaxInFlight, 1, 65536, "calls"} }},
	{name: "cms.timeout", def: "5s", example: "2s",
		help: "Time one attempt may take, from connecting to the last byte",
		bind: func(c *Config) value { return duration{&c.CMS.Timeout, shortest, longest} }},
	{name: "cms.coalesce", def: "true", example: "false",
		help: "Let requests for the same contract that wait together share one call",
		bind: func(c *Config) value { return boolean{&c.CMS.Coalesce} }},
	{name: "cms.max-attempts", def: "5", example: "10",
		help: "Attempts that may fail for one request, breaker closed, before it becomes a dead letter",
		bind: func(c *Config) value { return count{&c.CMS.MaxAttempts, 1, 1000, "attempts"} }},
	{name: "cms.backoff.initial", def: "100ms", example: "200ms",
		help: "Longest wait before the second attempt; it doubles with every further one",
		bind: func(c *Config) value { return duration{&c.CMS.Backoff.Initial, shortest, longest} }},
	{name: "cms.backoff.max", def: "5s", example: "30s",
		help: "Longest wait before any attempt",
		bind: func(c *Config) value { return duration{&c.CMS.Backoff.Max, shortest, longest} }},
	{name: "cms.breaker.window", def: "10s", example: "30s",
		help: "The circuit breaker judges the calls of this time",
		bind: func(c *Config) value { return duration{&c.CMS.Breaker.Window, shortest, longest} }},
	{name: "cms.breaker.min-calls", def: "5", example: "20",
		help: "Calls in the window before the breaker may open",
		bind: func(c *Config) value { return count{&c.CMS.Breaker.MinCalls, 1, 1_000_000, "calls"} }},
	{name: "cms.breaker.failure-ratio", def: "0.5", example: "0.8",
		help: "Share of failed calls in the window at which the breaker opens",
		bind: func(c *Config) value { return ratio{&c.CMS.Breaker.FailureRatio} }},
	{name: "cms.breaker.open-time", def: "5s", example: "15s",
		help: "Time the breaker stays open before it probes the CMS with a waiting request",
		bind: func(c *Config) value { return duration{&c.CMS.Breaker.OpenTime, shortest, longest} }},
	{name: "cms.cool-down", def: "1s", example: "5s",
		help: "Pause of all calls after a 429 that does not say how long",
		bind: func(c *Config) value { return duration{&c.CMS.CoolDown, shortest, longest} }},
	{name: "cms.probe-interval", def: "10s", example: "1m",
		help: "Time between probes while the CMS refuses our credentials or address",
		bind: func(c *Config) value { return duration{&c.CMS.ProbeInterval, shortest, longest} }},
	{name: "cms.max-response-bytes", def: "1MiB", example: "4MiB",
		help: "Longest answer of the CMS that is read",
		bind: func(c *Config) value { return size{&c.CMS.MaxResponseBytes, 1 << 10, maxSize} }},

	{name: "consumer.commit-interval", def: "100ms", example: "1s",
		help: "Time between commits of offsets; a crash repeats at most about this much",
		bind: func(c *Config) value { return duration{&c.Consumer.CommitInterval, shortest, time.Minute} }},
	{name: "consumer.run-ahead", def: "1024", example: "4096",
		help: "Records that may be worked on beyond the committed offsets, shared by the partitions (at least 16 each)",
		bind: func(c *Config) value { return count{&c.Consumer.RunAhead, 1, 1_000_000, "records"} }},
	{name: "consumer.fetch-bytes", def: "128KiB", example: "1MiB",
		help: "Bytes to fetch at once, per partition",
		bind: func(c *Config) value { return size{&c.Consumer.FetchBytes, 1 << 10, maxSize} }},

	{name: "producer.buffer-bytes", def: "32MiB", example: "64MiB",
		help: "Results and dead letters that may wait to be written",
		bind: func(c *Config) value { return size{&c.Producer.BufferBytes, 1 << 20, maxSize} }},

	{name: "delivery", def: DeliveryAtLeastOnce, example: DeliveryAtLeastOnce,
		help: "What a crash may do: at-least-once may repeat the last results",
		bind: func(c *Config) value { return choice{&c.Delivery, []string{DeliveryAtLeastOnce, DeliveryExactlyOnce}} }},
	{name: "instance", defNote: "the host name", example: "balanceq-0",
		help: "Name of this instance in logs and dead letters",
		bind: func(c *Config) value { return text{&c.Instance, checkInstance} }},

	{name: "results.publish-failures", def: "false", example: "true",
		help: "Publish a result with outcome failed too for every dead letter",
		bind: func(c *Config) value { return boolean{&c.Results.PublishFailures} }},

	{name: "requests.refuse-card-numbers", def: "false", example: "true",
		help: "Make a dead letter of a request whose contract id looks like a card number",
		bind: func(c *Config) value { return boolean{&c.Requests.RefuseCardNumbers} }},

	{name: "http.listen", def: "127.0.0.1:8080", example: "off",
		help: "Where to serve /metrics, /livez, /readyz and /debug/pprof/, host:port; \"off\" switches them off",
		bind: func(c *Config) value { return address{&c.HTTP.Listen} }},

	{name: "log.level", def: "info", example: "debug",
		help: "Least important messages to log",
		bind: func(c *Config) value {
			return choice{&c.Log.Level, []string{"trace", "debug", "info", "warn", "error"}}
		}},
	{name: "log.format", def: LogFormatAuto, example: LogFormatJSON,
		help: "How to write log messages; auto is text if standard error is a terminal, else json",
		bind: func(c *Config) value {
			return choice{&c.Log.Format, []string{LogFormatJSON, LogFormatText, LogFormatAuto}}
		}},

	{name: "shutdown.timeout", def: "20s", example: "45s",
		help: "Time to finish what was started when told to stop; the rest is done after the restart",
		bind: func(c *Config) value { return duration{&c.Shutdown.Timeout, shortest, longest} }},
}
