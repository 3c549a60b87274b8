package config

import "time"

// serviceKeys are the rows of what is neither Kafka's nor the CMS's.
var serviceKeys = []key{
	{name: "consumer.commit-interval", def: "100ms", example: "1s",
		help: "Time between commits of offsets; a crash repeats at most about this much",
		bind: func(c *Config) value { return duration{&c.Consumer.CommitInterval, shortest, time.Minute} }},
	{name: "consumer.run-ahead", def: "1024", example: "4096",
		help: "Records that are started and have no outcome yet, over all partitions; each partition has an equal share, " +
			"more where cms.max-in-flight would not be used up, and may always have 16, which come on top; " +
			"four times as many may wait behind others of their contract",
		bind: func(c *Config) value { return count{&c.Consumer.RunAhead, 1, 1_000_000, "records"} }},
	{name: "consumer.fetch-bytes", def: "128KiB", example: "1MiB",
		help: "Bytes to fetch at once, per partition",
		bind: func(c *Config) value { return size{&c.Consumer.FetchBytes, 1 << 10, maxSize} }},

	{name: "producer.buffer-bytes", def: "32MiB", example: "64MiB",
		help: "Results and dead letters that may wait to be written",
		bind: func(c *Config) value { return size{&c.Producer.BufferBytes, 1 << 20, maxSize} }},

	{name: "delivery", def: DeliveryAtLeastOnce, example: DeliveryExactlyOnce,
		help: "What a crash may do: at-least-once may repeat the last results; exactly-once repeats none, in transactions",
		bind: func(c *Config) value { return choice{&c.Delivery, []string{DeliveryAtLeastOnce, DeliveryExactlyOnce}} }},
	{name: "instance", defNote: "the host name", example: "balanceq-0",
		help: "Name of this instance in logs and dead letters; with exactly-once no two may have the same",
		bind: func(c *Config) value { return text{&c.Instance, checkInstance} }},

	{name: "results.publish-failures", def: "false", example: "true",
		help: "Publish a result with outcome failed too for every dead letter",
		bind: func(c *Config) value { return boolean{&c.Results.PublishFailures} }},
	{name: "results.echo-headers", def: "kafka_correlationId,correlationId,x-correlation-id,REPLY_CORRELATION_ID",
		example: "kafka_correlationId",
		help: "Headers of requests that come back on their results, bytes unchanged, at most 1 KiB each; at most 8 names; " +
			"empty: none",
		bind: func(c *Config) value { return list{&c.Results.EchoHeaders, checkEcho} }},
	{name: "results.reply-topics", defNote: "none", example: "statements.replies",
		help: "Topics in which requests may want a copy of their result, by kafka_replyTopic and kafka_replyPartition; " +
			"others are not written to",
		bind: func(c *Config) value { return list{&c.Results.ReplyTopics, checkTopics} }},
	{name: "results.registry.url", defNote: "none; results are JSON alone",
		example: "https://registry-1.example.com:8081,https://registry-2.example.com:8081",
		help: "Schema registry with Confluent's API that has the schema of results: they are framed with its id, for the " +
			"registry's deserializers; several addresses of it are asked in turn where one does not answer",
		bind: func(c *Config) value { return list{&c.Results.Registry.URLs, checkRegistryURLs} }},
	{name: "results.registry.subject", defNote: "the results topic's name and -value", example: "balanceq.BalanceResult",
		help: "Subject that has that schema",
		bind: func(c *Config) value { return text{&c.Results.Registry.Subject, nil} }},
	{name: "results.registry.auto-register", def: "false", example: "true",
		help: "Register the schema at the start where it is not there; without that, the start fails then",
		bind: func(c *Config) value { return boolean{&c.Results.Registry.AutoRegister} }},

	{name: "requests.refuse-card-numbers", def: "false", example: "true",
		help: "Make a dead letter of a request whose contract id looks like a card number",
		bind: func(c *Config) value { return boolean{&c.Requests.RefuseCardNumbers} }},
	{name: "requests.registry.url", defNote: "none; schema ids are not looked at",
		example: "https://registry.example.com/apis/ccompat/v7",
		help: "Schema registry with Confluent's API by which the schema ids of framed requests are checked; while it is " +
			"away they are not; several addresses of it are asked in turn where one does not answer",
		bind: func(c *Config) value { return list{&c.Requests.Registry.URLs, checkRegistryURLs} }},
	{name: "requests.registry.subjects", defNote: "the request topic's name and -value",
		example: "balanceq.BalanceRequest",
		help:    "Subjects that the schemas of requests may have",
		bind:    func(c *Config) value { return list{&c.Requests.Registry.Subjects, nil} }},

	{name: "schema-registry.username", example: "balanceq",
		help: "User of both schema registries",
		bind: func(c *Config) value { return text{&c.Registry.Username, nil} }},
	{name: "schema-registry.password", example: "from the environment",
		help: "That user's password; a secret, so neither a flag nor a key of the file",
		bind: func(c *Config) value { return password{&c.Registry.Password} }},
	{name: "schema-registry.password-file", example: "/run/secrets/registry-password",
		help: "File that holds the password; a line end at its end is ignored",
		bind: func(c *Config) value { return text{&c.Registry.PasswordFile, nil} }},
	{name: "schema-registry.token-file", example: "/var/run/secrets/tokens/registry",
		help: "File that holds a bearer token instead, kept up to date by somebody else; read again for each look-up",
		bind: func(c *Config) value { return text{&c.Registry.TokenFile, nil} }},
	{name: "schema-registry.ca-file", defNote: "the system's authorities", example: "/etc/balanceq/registry-ca.pem",
		help: "PEM file of the authorities that may have signed the registries' certificates",
		bind: func(c *Config) value { return text{&c.Registry.CAFile, nil} }},
	{name: "schema-registry.cert-file", example: "/etc/balanceq/registry-client.pem",
		help: "PEM file of the client certificate for registries that ask for one, beside a login or instead of it; read " +
			"again for each look-up",
		bind: func(c *Config) value { return text{&c.Registry.CertFile, nil} }},
	{name: "schema-registry.key-file", example: "/etc/balanceq/registry-client-key.pem",
		help: "PEM file of that certificate's private key",
		bind: func(c *Config) value { return text{&c.Registry.KeyFile, nil} }},

	{name: "deadletters.budget", def: "0.5", example: "0.1",
		help: "Share of the requests in a window that may become dead letters before they are held, if those are 100 or " +
			"more; 1 for no limit; invalid and expired ones do not count",
		bind: func(c *Config) value { return ratio{&c.DeadLetters.Budget, 1} }},
	{name: "deadletters.budget-window", def: "5m", example: "1h",
		help: "Length of that window",
		bind: func(c *Config) value { return duration{&c.DeadLetters.BudgetWindow, time.Second, 24 * longest} }},

	{name: "http.listen", def: "127.0.0.1:8080", example: "off",
		help: "Where to serve /metrics, /livez and /readyz, which need no login, host:port; \"off\" switches them off",
		bind: func(c *Config) value { return address{&c.HTTP.Listen} }},
	{name: "http.admin", def: "127.0.0.1:8081", example: "off",
		help: "Where to serve what acts or reveals, /resume and /debug/pprof/, host:port; other machines can reach it only " +
			"with a token or client certificates; \"off\" switches it off",
		bind: func(c *Config) value { return address{&c.HTTP.Admin} }},
	{name: "http.admin-token-file", example: "/run/secrets/admin-token",
		help: "File that holds the token that http.admin asks for (Authorization: Bearer), at least 16 characters; it is " +
			"read again when it changes",
		bind: func(c *Config) value { return text{&c.HTTP.AdminTokenFile, nil} }},
	{name: "http.admin-tls.cert-file", example: "/etc/balanceq/admin.pem",
		help: "PEM file of the certificate with which http.admin serves HTTPS; read again when it changes",
		bind: func(c *Config) value { return text{&c.HTTP.AdminTLS.CertFile, nil} }},
	{name: "http.admin-tls.key-file", example: "/etc/balanceq/admin-key.pem",
		help: "PEM file of that certificate's private key",
		bind: func(c *Config) value { return text{&c.HTTP.AdminTLS.KeyFile, nil} }},
	{name: "http.admin-tls.client-ca-file", example: "/etc/balanceq/operators-ca.pem",
		help: "PEM file of the authorities that may have signed the certificates that http.admin then asks its clients for",
		bind: func(c *Config) value { return text{&c.HTTP.AdminTLS.ClientCAFile, nil} }},
	{name: "http.allowed-hosts", defNote: "none", example: "balanceq-0.balanceq.svc",
		help: "Names by which http.listen and http.admin may be asked, besides IP addresses, localhost and the host name; " +
			"one that begins with a dot stands for all names below it",
		bind: func(c *Config) value { return list{&c.HTTP.AllowedHosts, checkHosts} }},

	{name: "watchdog.after", def: "2m", example: "5m",
		help: "Without progress and without a reason to wait for this long, /livez answers 503",
		bind: func(c *Config) value { return duration{&c.Watchdog.After, leastWatchdog, 4 * longest} }},

	{name: "telemetry.otlp.endpoint", defNote: "what OTEL_EXPORTER_OTLP_ENDPOINT says, else nothing is sent",
		example: "http://otel-collector:4318",
		help:    "Base URL of an OTLP receiver over HTTP, to which telemetry is sent; /v1/… is appended",
		bind:    func(c *Config) value { return text{&c.Telemetry.OTLP.Endpoint, checkEndpoint} }},
	{name: "telemetry.otlp.headers", example: "from the environment",
		help: "Headers that it wants, name=value, separated by commas, values percent-encoded; a secret, so neither a flag " +
			"nor a key of the file",
		bind: func(c *Config) value { return password{&c.Telemetry.OTLP.Headers} }},
	{name: "telemetry.otlp.headers-file", example: "/run/secrets/otlp-headers",
		help: "File that holds those headers, in one line; a line end at its end is ignored",
		bind: func(c *Config) value { return text{&c.Telemetry.OTLP.HeadersFile, nil} }},
	{name: "telemetry.traces.ratio", def: "0", example: "0.01",
		help: "Share of the requests without a trace context that are traced; those with one are traced if it is sampled; " +
			"with 0, OTEL_TRACES_SAMPLER decides where it is set",
		bind: func(c *Config) value { return share{&c.Telemetry.Traces.Ratio} }},
	{name: "telemetry.traces.parent", def: ParentRequest, example: ParentNew,
		help: "What a request's spans hang under: the trace that the request brings, or a new one that is linked with it",
		bind: func(c *Config) value { return choice{&c.Telemetry.Traces.Parent, []string{ParentRequest, ParentNew}} }},
	{name: "telemetry.traces.deadletters", def: "false", example: "true",
		help: "Trace every request that becomes a dead letter, sampled or not",
		bind: func(c *Config) value { return boolean{&c.Telemetry.Traces.DeadLetters} }},

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
		help: "Time to finish the calls under way when told to stop; the rest is done after the restart",
		bind: func(c *Config) value { return duration{&c.Shutdown.Timeout, shortest, longest} }},
}
