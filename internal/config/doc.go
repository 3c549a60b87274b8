// Package config is the one home of balanceq's settings.
//
// Every key is one row of the table in keys.go and keys_*.go. From that row come the key of the YAML file, the flag,
// the environment variable, the default, the help text, the checks, what `config print` shows and the reference in the
// documentation:
//
//	kafka.brokers   in the file (nested, or with dots)
//	--kafka.brokers
//	BALANCEQ_KAFKA_BROKERS
//
// A flag wins over the environment, the environment over the file, the file over the default. Secrets come from the
// environment or from a file of their own, never from flags (any user of the machine can list them) and never from the
// configuration file (it is shown, copied and committed).
//
// Problems are reported all at once, one line each: `key: problem; fix (where the value came from)`.
package config
