package telemetry

import (
	"strings"

	"github.com/rs/zerolog"
)

// Event is a kind of log line by which alerts go: its name is in the field "event" and never changes, its sentence may.
type Event struct {
	Name    string
	Level   zerolog.Level
	Means   string // in Markdown
	Section string // of the runbook, which says what to do; "": Do does
	Do      string // in Markdown
}

// Events are all events. Every line at warn and error has one; lines at info where they tell the end of another one.
var Events = []Event{
	// The CMS.
	{"breaker_opened", zerolog.WarnLevel, "the CMS fails: calls stop, consumption pauses", "breaker", ""},
	{"breaker_half_open", zerolog.InfoLevel, "waiting requests probe the CMS", "breaker", ""},
	{"breaker_still_open", zerolog.WarnLevel,
		"it goes on: once a minute, with how many probes have failed", "breaker", ""},
	{"breaker_closed", zerolog.InfoLevel, "the CMS answers again: consumption goes on", "breaker", ""},
	{"cms_throttled", zerolog.WarnLevel, "the CMS answers 429: all calls pause; told once a minute", "throttled", ""},
	{"cms_halted", zerolog.ErrorLevel, "the CMS refuses this service: keys, entitlement, address", "halted", ""},
	{"cms_resumed", zerolog.InfoLevel, "it answers again", "halted", ""},
	{"quota_spent", zerolog.WarnLevel, "the day's calls are used up: consumption pauses until the next UTC day", "quota",
		""},
	{"request_unaskable", zerolog.ErrorLevel, "the client refuses to send what a request asks for: a defect of balanceq",
		"internal-error", ""},
	{"key_unusable", zerolog.ErrorLevel, "a changed key or certificate file cannot be used; the former one is in force",
		"keys", ""},
	{"key_expired", zerolog.ErrorLevel, "a key or certificate has expired", "keys", ""},
	{"key_expires_soon", zerolog.WarnLevel, "it expires within 30 days; told once a day", "keys", ""},
	{"key_changed", zerolog.InfoLevel, "what its file holds now is in force", "keys", ""},

	// Dead letters.
	{"dead_letter_budget_spent", zerolog.ErrorLevel, "too many dead letters: they are held until an operator resumes",
		"dead-letter-budget", ""},
	{"dead_letter_budget_resumed", zerolog.InfoLevel, "an operator has resumed", "dead-letter-budget", ""},
	{"dead_letter_budget_armed", zerolog.InfoLevel, "the budget counts again", "dead-letter-budget", ""},
	{"internal_error", zerolog.ErrorLevel, "a request became a dead letter by a defect of balanceq", "internal-error", ""},
	{"handler_panic", zerolog.ErrorLevel, "the defect behind it, with its stack", "internal-error", ""},
	{"result_too_large", zerolog.WarnLevel, "a result does not fit its topic: its request becomes a dead letter",
		"too-large", ""},
	{"reply_too_large", zerolog.WarnLevel, "a copy of a result does not fit the reply topic; the results topic has it",
		"replies", ""},

	// Writing and committing.
	{"write_failing", zerolog.WarnLevel, "writing results or dead letters fails, and is repeated until it works", "kafka",
		""},
	{"asking_failing", zerolog.WarnLevel, "`balanceq request --wait` cannot write requests or read answers, and goes on trying",
		"kafka", ""},
	{"write_held", zerolog.WarnLevel, "Kafka refuses what only an operator can cure; what it concerns waits", "held", ""},
	{"write_reshaped", zerolog.WarnLevel, "Kafka refuses a batch; it is sent in another form", "",
		"nothing; many of them: what `fix` says"},
	{"outcome_not_delivered", zerolog.ErrorLevel,
		"an outcome could not be handed over; its request is read again after a restart",
		"stuck", ""},
	{"commit_failing", zerolog.WarnLevel, "committing offsets fails, and is repeated", "kafka", ""},
	{"commit_metadata_refused", zerolog.WarnLevel, "the brokers take little metadata: a crash repeats more requests", "",
		"raise `offset.metadata.max.bytes` of the brokers, then restart"},
	{"fencing_failing", zerolog.WarnLevel, "the transactional id cannot be had at the start, and is tried again",
		"two-of-one-name", ""},

	// Reading.
	{"fetch_failing", zerolog.ErrorLevel, "a broker refuses to hand out records", "kafka", ""},
	{"start_unknown", zerolog.ErrorLevel, "it is not known where some partitions start; the others go on", "start", ""},
	{"offset_jump", zerolog.ErrorLevel, "records were deleted before they were read", "lost-to-retention", ""},
	{"log_truncated", zerolog.ErrorLevel, "the log has lost its end, or ends before what was read", "another-log", ""},
	{"topic_recreated", zerolog.ErrorLevel, "the request topic was deleted and made again", "another-log", ""},
	{"batch_unreadable", zerolog.ErrorLevel, "a batch cannot be read: its partition stands still", "corrupt", ""},
	{"batch_skipped", zerolog.ErrorLevel, "an operator has skipped it: its requests are not answered", "corrupt", ""},
	{"skip_lookup_failing", zerolog.ErrorLevel, "it cannot be looked up whether an operator has skipped it", "corrupt",
		""},
	{"publisher_transaction_open", zerolog.WarnLevel, "a publisher's open transaction hides requests", "transaction", ""},

	// The schema registry.
	{"registry_away", zerolog.WarnLevel,
		"the schema registry does not tell what requests are framed with: they are answered without a look at that",
		"registry", ""},
	{"registry_back", zerolog.InfoLevel, "it tells again", "registry", ""},

	// The group.
	{"group_failing", zerolog.WarnLevel, "the group's coordinator does not answer as it should", "rebalance", ""},
	{"group_leave_failed", zerolog.WarnLevel, "the partitions are free when the session is over", "", "nothing"},
	{"partitions_lost", zerolog.WarnLevel, "the group went on without this instance; what it had is read again",
		"rebalance", ""},
	{"no_partition", zerolog.WarnLevel, "there are more instances than partitions", "", "run fewer, or add partitions"},

	// The program.
	{"pipeline_stuck", zerolog.ErrorLevel, "the pipeline stands still without a reason; `/livez` answers 503", "stuck",
		""},
	{"pipeline_moves", zerolog.InfoLevel, "it moves again, or has a reason to wait", "stuck", ""},
	{"configuration_warning", zerolog.WarnLevel, "a setting works and is probably not meant", "", "what the line says"},
	{"preflight_warning", zerolog.WarnLevel, "a check of the start found what works and is probably not meant", "",
		"what `fix` says"},
	{"preflight_waiting", zerolog.WarnLevel, "a check of the start waits for what may be over by itself", "",
		"what `fix` says"},
	{"kafka_unreachable", zerolog.WarnLevel, "the start waits for Kafka", "", "what `fix` says"},
	{"log_lines_lost", zerolog.WarnLevel,
		"whatever reads the log did not take lines for a while, or was away: so many (`lines`) are missing", "",
		"look at what collects the log; requests were answered all the same"},
	{"lines_left_out", zerolog.WarnLevel, "of one sentence (`of`) more lines came within 10 s than the 50 that are written; " +
		"at the level of those", "", "what those say; at level debug all are written"},
	{"library_warning", zerolog.WarnLevel, "a library writes to the standard log", "", "report it where it comes again"},
	{"export_failing", zerolog.WarnLevel, "telemetry cannot be sent by OTLP", "",
		"what the receiver says; requests are answered all the same"},
}

// EventTable returns the events as a table in Markdown; runbook is the address of that page.
func EventTable(runbook string) string {
	var b strings.Builder
	b.WriteString("| event | level | means | what to do |\n|---|---|---|---|\n")
	for _, e := range Events {
		do := e.Do
		if e.Section != "" {
			do = "[" + e.Section + "](" + runbook + "#" + e.Section + ")"
		}
		b.WriteString("| `" + e.Name + "` | " + e.Level.String() + " | " + e.Means + " | " + do + " |\n")
	}
	return b.String()
}
