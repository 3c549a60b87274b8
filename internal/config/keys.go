package config

import (
	"math"
	"slices"
	"strings"
	"time"
)

// key is one setting: a row of the table, which is the only place that knows about single keys.
type key struct {
	name    string // as in the file and the flag
	def     string // default, as a user would write it
	defNote string // what the documentation says instead of an empty default
	example string // a value other than the default
	help    string // one sentence, without a full stop
	bind    func(*Config) value
}

// envPrefix starts the name of every environment variable of balanceq.
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

	// leastWatchdog is above what a write may take that no broker answers: the request and the look for a leader are given
	// up after 10 s each, with a pause between them.
	leastWatchdog = 30 * time.Second
)

// keys is the table, in the order of the documentation; the keys of one section stand together.
var keys = slices.Concat(kafkaKeys, cmsKeys, serviceKeys)
