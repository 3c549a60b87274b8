package config

import "time"

// kafkaKeys are the rows of kafka and topics.
var kafkaKeys = []key{
	{name: "kafka.brokers", def: "127.0.0.1:9092", example: "kafka-1:9092,kafka-2:9092",
		help: "Brokers to ask first for the cluster's addresses, host:port each",
		bind: func(c *Config) value { return list{&c.Kafka.Brokers, checkBrokers} }},
	{name: "kafka.group", def: "balanceq", example: "balanceq-staging",
		help: "Consumer group; instances of one group share the partitions",
		bind: func(c *Config) value { return text{&c.Kafka.Group, checkName} }},
	{name: "kafka.start", def: StartEarliest, example: StartLatest,
		help: "Where a group begins that has committed nothing in the topic: earliest, latest, a time (RFC 3339) or an age " +
			"such as 6h; " +
			"partitions that are added later begin at their beginning",
		bind: func(c *Config) value { return start{&c.Kafka.Start} }},
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
	{name: "kafka.group-protocol", def: GroupClassic, example: GroupAuto,
		help: "How the group shares out partitions: classic; consumer (KIP-848); auto takes consumer where the brokers " +
			"offer it",
		bind: func(c *Config) value {
			return choice{&c.Kafka.GroupProtocol, []string{GroupAuto, GroupClassic, GroupConsumer}}
		}},
	{name: "kafka.instance-id", defNote: "none", example: "balanceq-0",
		help: "Stable slot of this instance (group.instance.id): an instance that comes back under it gets its partitions " +
			"back at once",
		bind: func(c *Config) value { return text{&c.Kafka.InstanceID, checkSlot} }},
	{name: "kafka.leave-on-stop", def: "false", example: "true",
		help: "Give up the slot of kafka.instance-id when stopping, for an instance that does not come back",
		bind: func(c *Config) value { return boolean{&c.Kafka.LeaveOnStop} }},
	// The limit is the brokers' default of transaction.max.timeout.ms.
	{name: "kafka.transaction-timeout", def: "10s", example: "30s",
		help: "With exactly-once: time until the brokers abort what an instance that died has left open",
		bind: func(c *Config) value { return duration{&c.Kafka.TransactionTimeout, 5 * time.Second, 15 * time.Minute} }},
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
	{name: "topics.replays", def: "balance.replays", example: "staging.balance.replays",
		help: "Topic that records which dead letters were replayed, so that none is replayed twice, and what balanceq skip " +
			"has decided",
		bind: func(c *Config) value { return text{&c.Topics.Replays, checkTopic} }},
}
