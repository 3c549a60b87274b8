package config

import "time"

// serviceKeys are the rows of what is neither Kafka's nor the CMS's.
var serviceKeys = []key{
	{name: "consumer.commit-interval", def: "100ms", example: "1s",
		help: "Time between commits of offsets; a crash repeats at most about this much",
		bind: func(c *Config) value { return duration{&c.Consumer.CommitInterval, shortest, time.Minute} }},
	{name: "consumer.run-ahead", def: "1024", example: "4096",
		help: "Records started beyond the committed offsets, over all partitions; each partition has an equal share, and " +
			"may always have 16, which come on top",
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

	{name: "requests.refuse-card-numbers", def: "false", example: "true",
		help: "Make a dead letter of a request whose contract id looks like a card number",
		bind: func(c *Config) value { return boolean{&c.Requests.RefuseCardNumbers} }},

	{name: "deadletters.budget", def: "0.5", example: "0.1",
		help: "Share of the requests in a window that may become dead letters before reading pauses, if those are 100 or " +
			"more; 1 for no limit; invalid and expired ones do not count",
		bind: func(c *Config) value { return ratio{&c.DeadLetters.Budget, 1} }},
	{name: "deadletters.budget-window", def: "5m", example: "1h",
		help: "Length of that window",
		bind: func(c *Config) value { return duration{&c.DeadLetters.BudgetWindow, time.Second, 24 * longest} }},

	{name: "http.listen", def: "127.0.0.1:8080", example: "off",
		help: "Where to serve /metrics, /livez, /readyz and /debug/pprof/, host:port; \"off\" switches them off",
		bind: func(c *Config) value { return address{&c.HTTP.Listen} }},
	{name: "http.allowed-hosts", defNote: "none", example: "balanceq-0.balanceq.svc",
		help: "Names by which profiles and balanceq resume may ask for this instance, besides IP addresses, localhost and " +
			"the host name",
		bind: func(c *Config) value { return list{&c.HTTP.AllowedHosts, checkHosts} }},

	{name: "watchdog.after", def: "2m", example: "5m",
		help: "Without progress and without a reason to wait for this long, /livez answers 503",
		bind: func(c *Config) value { return duration{&c.Watchdog.After, leastWatchdog, 4 * longest} }},

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
