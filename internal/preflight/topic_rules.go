package preflight

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/kafkawire"
)

// The brokers' names of the topic settings that the rules look at.
const (
	configCleanup     = "cleanup.policy"
	configCompression = "compression.type"
	configMaxMessage  = "max.message.bytes"
	configMinInSync   = "min.insync.replicas"
	configRetention   = "retention.ms"
	configSegment     = "segment.bytes"
	configTimeType    = "message.timestamp.type"
	configTimeBefore  = "message.timestamp.before.max.ms"     // since Kafka 3.6 (KIP-937)
	configTimeAfter   = "message.timestamp.after.max.ms"      // since Kafka 3.6; its default is an hour since 4.0
	configTimeApart   = "message.timestamp.difference.max.ms" // both directions; gone in 4.0
	configUnclean     = "unclean.leader.election.enable"
)

var topicConfigs = []string{configCleanup, configCompression, configMaxMessage, configMinInSync, configRetention,
	configSegment,
	configTimeType, configTimeBefore, configTimeAfter, configTimeApart, configUnclean}

// What the rules hold settings against.
const (
	// OutcomeHeadroom is how much larger than its request an outcome may become: a dead letter by its headers, a result,
	// which repeats the key, by its balances.
	OutcomeHeadroom = 64 << 10

	leastRetention = 24 * time.Hour     // an outage, and the night before somebody looks
	leastKept      = 3 * 24 * time.Hour // dead letters over a weekend
	// an outcome has the time at which it was decided, and waits while Kafka cannot be written to
	leastLate  = 24 * time.Hour
	leastEarly = time.Minute // by which this machine's clock may be ahead of the brokers'
)

// topicRules check the settings of the topics that could be read, by name. They are warnings: the service can do its
// work in spite of them, or tells what is refused. A setting that a broker does not have or show is passed over.
type topicRules struct {
	cfg    config.Config
	topics map[string]kafkawire.Topic
	found  []finding.Finding
}

func checkTopicSettings(cfg config.Config, topics map[string]kafkawire.Topic) []finding.Finding {
	r := &topicRules{cfg: cfg, topics: topics}
	r.cleanup()
	r.retention()
	r.sizes()
	r.times()
	r.replicas()
	return r.found
}

// set adds a finding that another value of a topic's setting fixes.
func (r *topicRules) set(topic, setting, value, problem string, args ...any) {
	r.found = append(r.found, finding.Finding{Severity: finding.Warn,
		What: fmt.Sprintf("topic %s: ", topic) + fmt.Sprintf(problem, args...),
		Fix: fmt.Sprintf(
			"set %s of %s to %s: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s "+
				"--add-config %s=%s", setting, topic, value, r.cfg.Kafka.Brokers[0], topic, setting, value)})
}

// number is the value of a setting of a topic.
func (r *topicRules) number(topic, setting string) (int64, bool) {
	n, err := strconv.ParseInt(r.topics[topic].Configs[setting], 10, 64)
	return n, err == nil
}

// topicLoss is what is lost where a topic's setting is not as it should be.
type topicLoss struct{ topic, lost string }

// outcomes are the topics that results and dead letters are written to.
func (r *topicRules) outcomes() []string {
	return append([]string{r.cfg.Topics.Results, r.cfg.Topics.DeadLetters}, r.cfg.Results.ReplyTopics...)
}

// cleanup wants no topic compacted: brokers refuse records without a key there, and keep the last one of each key only.
func (r *topicRules) cleanup() {
	t := r.cfg.Topics
	rules := []topicLoss{
		{t.Requests,
			"requests without a key cannot be published, and those of a key are removed unread when another one follows"},
		{t.Results, "results are removed when another one of the same key follows, and what has no key cannot be written"},
		{t.DeadLetters, "dead letters of requests without a key cannot be written, " +
			"and others are removed when another one of the same key follows"},
		{t.Replays, "what it says about a dead letter's earlier replays is removed"},
	}
	for _, name := range r.cfg.Results.ReplyTopics {
		rules = append(rules, topicLoss{name,
			"copies of results are removed when another one of the same key follows, and what has no key cannot be written"})
	}
	for _, c := range rules {
		policy := r.topics[c.topic].Configs[configCleanup]
		if slices.Contains(strings.Split(policy, ","), "compact") {
			r.set(c.topic, configCleanup, "delete", "%s=%s: %s", configCleanup, policy, c.lost)
		}
	}
}

// retention wants requests to outlive an outage, dead letters to live until somebody looks, and replays for ever.
func (r *topicRules) retention() {
	t := r.cfg.Topics
	for _, c := range []struct {
		topic string
		least time.Duration
		lost  string
	}{
		{t.Requests, leastRetention, "requests that an outage of the CMS holds up for longer are deleted unread"},
		{t.DeadLetters, leastKept, "dead letters that no person has looked at by then are gone"},
		{t.Replays, math.MaxInt64, "a dead letter replayed longer ago can be replayed again"},
	} {
		policy, known := r.topics[c.topic].Configs[configCleanup]
		ms, ok := r.number(c.topic, configRetention)
		if !ok || ms < 0 || known && !strings.Contains(policy, "delete") || ms >= c.least.Milliseconds() &&
			c.topic != t.Replays {
			continue
		}
		value := strconv.FormatInt(c.least.Milliseconds(), 10)
		if c.topic == t.Replays {
			value = "-1"
		}
		r.set(c.topic, configRetention, value, "%s=%d (%v): %s", configRetention, ms, milliseconds(ms), c.lost)
	}
}

// sizes wants every outcome of a request that fits into its topic to fit into its own.
func (r *topicRules) sizes() {
	t := r.cfg.Topics
	largest, _ := r.limit(t.Requests)
	rules := []topicLoss{
		{t.Results, "results repeat the request's key, and those of the largest requests would not fit"},
		{t.DeadLetters, "the largest requests would not fit with their dead-letter headers"},
	}
	for _, name := range r.cfg.Results.ReplyTopics {
		rules = append(rules, topicLoss{name,
			"copies of results repeat the request's key, and those that do not fit are not written"})
	}
	for _, c := range rules {
		limit, setting := r.limit(c.topic)
		if largest > 0 && limit > 0 && limit < largest+OutcomeHeadroom {
			r.set(c.topic, setting, strconv.FormatInt(largest+OutcomeHeadroom, 10),
				"%s=%d, and %s takes messages of %d bytes: %s", setting, limit, t.Requests, largest, c.lost)
		}
		if kind := r.topics[c.topic].Configs[configCompression]; kind == "uncompressed" {
			r.set(c.topic, configCompression, "producer",
				"%s=%s: brokers unpack what is compressed to fit, and then refuse it as too large", configCompression, kind)
		}
	}
}

// limit is how many bytes a message of a topic may have, and the setting that says so; 0: not known. Brokers do not
// write what is longer than a segment either.
func (r *topicRules) limit(topic string) (bytes int64, setting string) {
	bytes, ok := r.number(topic, configMaxMessage)
	if segment, known := r.number(topic, configSegment); known && (!ok || segment < bytes) {
		return segment, configSegment
	}
	return bytes, configMaxMessage
}

// times wants outcomes to be taken after an outage of Kafka, and by brokers whose clocks are behind this one. Where
// brokers put their own time in, they do not compare.
func (r *topicRules) times() {
	for _, topic := range r.outcomes() {
		if r.topics[topic].Configs[configTimeType] == "LogAppendTime" {
			continue
		}
		for _, setting := range []string{configTimeBefore, configTimeApart} {
			if ms, ok := r.number(topic, setting); ok && ms < leastLate.Milliseconds() {
				r.set(topic, setting, strconv.FormatInt(leastLate.Milliseconds(), 10),
					"%s=%d (%v): brokers refuse what was decided longer ago, as after an outage of Kafka",
					setting, ms, milliseconds(ms))
			}
		}
		if ms, ok := r.number(topic, configTimeAfter); ok && ms < leastEarly.Milliseconds() {
			r.set(topic, configTimeAfter, strconv.FormatInt(leastEarly.Milliseconds(), 10),
				"%s=%d (%v): brokers refuse everything while the clock here is ahead of theirs by more",
				configTimeAfter, ms, milliseconds(ms))
		}
	}
}

// replicas wants what is written to be on two brokers where there are three, to stay there, and to be writable at all.
func (r *topicRules) replicas() {
	outcomes := r.outcomes()
	t := r.cfg.Topics
	for _, topic := range append([]string{t.Requests, t.Results, t.DeadLetters, t.Replays}, r.cfg.Results.ReplyTopics...) {
		n, ok := r.number(topic, configMinInSync)
		replicas := r.topics[topic].ReplicationFactor
		if r.topics[topic].Configs[configUnclean] == "true" && replicas > 1 {
			r.set(topic, configUnclean, "false",
				"%s=true: a replica that lacks the last records may become the leader, and they are lost",
				configUnclean)
		}
		written := slices.Contains(outcomes, topic)
		switch {
		case !ok || replicas == 0:
		case n > int64(replicas):
			r.set(topic, configMinInSync, strconv.Itoa(max(1, replicas-1)),
				"%s=%d, and there are %d replicas: Kafka 3.9 and 4 wait for those, older brokers refuse every write",
				configMinInSync, n, replicas)
		case written && n < 2 && replicas >= 3:
			r.set(topic, configMinInSync, "2",
				"it has %d replicas and %s=%d: what a single broker has counts as written, and is lost with it",
				replicas, configMinInSync, n)
		}
	}
}

// milliseconds is a duration of a setting; longer ones than Go can hold are the longest.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
