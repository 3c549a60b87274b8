package preflight

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
)

var ruled = config.Config{Kafka: config.Kafka{Brokers: []string{"k1:9092", "k2:9092"}},
	Results: config.Results{ReplyTopics: []string{"x"}},
	Topics:  config.Topics{Requests: "q", Results: "r", DeadLetters: "d", Replays: "p"}}

// goodTopics pass all rules, with the settings that Kafka 4.3 shows.
func goodTopics() map[string]kafkawire.Topic {
	topics := map[string]kafkawire.Topic{}
	for name, limit := range map[string]string{"q": "1114112", "r": "1179648", "d": "1179648", "x": "1179648",
		"p": "1048588"} {
		topics[name] = kafkawire.Topic{Name: name, Partitions: 12, ReplicationFactor: 3, Configs: map[string]string{
			configCleanup: "delete", configCompression: "producer", configMaxMessage: limit, configMinInSync: "2",
			configRetention: "604800000", configSegment: "1073741824", configTimeType: "CreateTime",
			configTimeBefore: "9223372036854775807", configTimeAfter: "3600000",
		}}
	}
	topics["p"].Configs[configRetention] = "-1"
	return topics
}

func TestTopicRules(t *testing.T) {
	const day, hour = "86400000", "3600000"
	warn := func(topic, setting, value string, problem ...string) expected {
		return expected{problem: append(problem, "topic "+topic+": "),
			fix: []string{"set " + setting + " of " + topic + " to " + value + ": ",
				"kafka-configs.sh --bootstrap-server k1:9092 --alter --entity-type topics --entity-name " + topic +
					" --add-config " +
					setting + "=" + value}}
	}
	for name, test := range map[string]struct {
		set  string // topic:setting=value, apart by spaces; without a value the broker does not show it
		want []expected
	}{
		"good": {},

		"requests compacted": {"q:cleanup.policy=compact", []expected{warn("q", configCleanup, "delete",
			"cleanup.policy=compact", "without a key cannot be published", "removed unread")}},
		"results compacted and deleted": {"r:cleanup.policy=compact,delete", []expected{warn("r", configCleanup, "delete",
			"cleanup.policy=compact,delete", "same key")}},
		"dead letters compacted": {"d:cleanup.policy=compact",
			[]expected{warn("d", configCleanup, "delete", "without a key cannot be written")}},
		"replays compacted": {"p:cleanup.policy=compact", []expected{warn("p", configCleanup, "delete", "earlier replays")}},
		"policies unknown":  {"q:cleanup.policy r:cleanup.policy d:cleanup.policy p:cleanup.policy", nil},

		"results as the brokers' default": {"r:max.message.bytes=1048588", []expected{warn("r", configMaxMessage, "1179648",
			"max.message.bytes=1048588", "q takes messages of 1114112 bytes", "repeat the request's key")}},
		"a byte too small": {"d:max.message.bytes=1179647",
			[]expected{warn("d", configMaxMessage, "1179648", "dead-letter headers")}},
		"larger requests": {"q:max.message.bytes=2000000",
			[]expected{warn("r", configMaxMessage, "2065536"), warn("d", configMaxMessage, "2065536"),
				warn("x", configMaxMessage, "2065536")}},
		"small segments": {"r:segment.bytes=1048576",
			[]expected{warn("r", configSegment, "1179648", "segment.bytes=1048576")}},
		"requests' segments": {"q:segment.bytes=1048576 r:max.message.bytes=1114112", nil},
		"copies of results": {"x:max.message.bytes=1048588 x:cleanup.policy=compact x:min.insync.replicas=4", []expected{
			warn("x", configCleanup, "delete", "copies of results"), warn("x", configMaxMessage, "1179648", "are not written"),
			warn("x", configMinInSync, "2", "refuse every write")}},
		"limits unknown":  {"q:max.message.bytes q:segment.bytes r:max.message.bytes=1", nil},
		"outcome unknown": {"d:max.message.bytes d:segment.bytes", nil},
		"unpacked by brokers": {"d:compression.type=uncompressed",
			[]expected{warn("d", configCompression, "producer", "too large")}},
		"packed by brokers":   {"d:compression.type=zstd r:compression.type=gzip", nil},
		"requests' own codec": {"q:compression.type=uncompressed", nil},
		"not a number":        {"r:max.message.bytes=many r:segment.bytes= r:retention.ms=x r:min.insync.replicas=-", nil},
		"requests gone soon": {"q:retention.ms=" + hour,
			[]expected{warn("q", configRetention, day, "retention.ms=3600000 (1h0m0s)", "unread")}},
		"requests for a day": {"q:retention.ms=" + day, nil},
		"requests for ever":  {"q:retention.ms=-1", nil},
		"dead letters gone": {"d:retention.ms=" + day,
			[]expected{warn("d", configRetention, "259200000", "(24h0m0s)", "gone")}},
		"compacted, not aged": {"q:cleanup.policy=compact q:retention.ms=1", []expected{warn("q", configCleanup, "delete")}},
		"results gone":        {"r:retention.ms=1", nil}, // subscribers' own affair
		"replays forgotten": {"p:retention.ms=9223372036854775807",
			[]expected{warn("p", configRetention, "-1", "replayed again")}},
		"retention unknown": {"q:retention.ms d:retention.ms p:retention.ms", nil},
		"old ones refused": {"r:message.timestamp.before.max.ms=" + hour,
			[]expected{warn("r", configTimeBefore, day, "(1h0m0s)", "outage of Kafka")}},
		"old ones, Kafka 3.9": {"d:message.timestamp.difference.max.ms=" + hour,
			[]expected{warn("d", configTimeApart, day, "outage of Kafka")}},
		"early ones refused": {"d:message.timestamp.after.max.ms=1000",
			[]expected{warn("d", configTimeAfter, "60000", "(1s)", "ahead")}},
		"an hour ahead is all": {"d:message.timestamp.after.max.ms=" + hour + " r:message.timestamp.after.max.ms=60000", nil},
		"brokers' time": {"d:message.timestamp.type=LogAppendTime d:message.timestamp.before.max.ms=1 " +
			"d:message.timestamp.after.max.ms=1",
			nil},
		"publishers' own times": {"q:message.timestamp.before.max.ms=1 q:message.timestamp.type=LogAppendTime", nil},

		"tail lost": {"q:unclean.leader.election.enable=true",
			[]expected{warn("q", configUnclean, "false", "lacks the last records")}},
		"tails lost": {"r:unclean.leader.election.enable=true d:unclean.leader.election.enable=true " +
			"p:unclean.leader.election.enable=true",
			[]expected{warn("r", configUnclean, "false"), warn("d", configUnclean, "false"), warn("p", configUnclean, "false")}},
		"none to elect": {"q:replicas=1 q:min.insync.replicas=1 q:unclean.leader.election.enable=true", nil},
		"on one broker": {"r:min.insync.replicas=1 d:min.insync.replicas=1", []expected{
			warn("r", configMinInSync, "2", "it has 3 replicas"), warn("d", configMinInSync, "2", "min.insync.replicas=1")}},
		"others on one broker": {"q:min.insync.replicas=1 p:min.insync.replicas=1", nil},
		"two replicas":         {"r:replicas=2 r:min.insync.replicas=1", nil},
		"too many in sync": {"r:min.insync.replicas=4",
			[]expected{warn("r", configMinInSync, "2", "=4", "3 replicas", "refuse every write")}},
		"one replica, two":   {"d:replicas=1", []expected{warn("d", configMinInSync, "1", "=2", "1 replicas")}},
		"publishers refused": {"q:replicas=1", []expected{warn("q", configMinInSync, "1")}},
		"replays refused":    {"p:replicas=1", []expected{warn("p", configMinInSync, "1")}},
	} {
		t.Run(name, func(t *testing.T) {
			topics := goodTopics()
			for _, change := range strings.Fields(test.set) {
				topic, setting, _ := strings.Cut(change, ":")
				setting, value, shown := strings.Cut(setting, "=")
				switch d := topics[topic]; {
				case setting == "replicas":
					d.ReplicationFactor = int(value[0] - '0')
					topics[topic] = d
				case shown:
					d.Configs[setting] = value
				default:
					delete(d.Configs, setting)
				}
			}
			wantFindings(t, checkTopicSettings(ruled, topics), test.want...)
		})
	}
}

// Topics that are not there, or whose settings may not be read, are passed over.
func TestTopicRulesOfNothing(t *testing.T) {
	wantFindings(t, checkTopicSettings(ruled, nil))
	topics := goodTopics()
	delete(topics, "q")
	delete(topics, "p")
	wantFindings(t, checkTopicSettings(ruled, topics))
}

// Whatever brokers say, to do what the findings ask for leaves nothing to find.
func TestTopicRulesFixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := goodTopics()
		for name, topic := range topics {
			topic.ReplicationFactor = rapid.IntRange(1, 5).Draw(t, "replicas")
			for _, setting := range topicConfigs {
				topic.Configs[setting] = rapid.OneOf(rapid.Map(rapid.Int64Range(-1, 1<<40), func(n int64) string {
					return strconv.FormatInt(n, 10)
				}), rapid.SampledFrom([]string{"", "compact", "delete", "compact,delete", "uncompressed", "LogAppendTime",
					"true"})).Draw(t, setting)
			}
			topics[name] = topic
		}
		for range 3 { // a size may be that of a segment next
			for _, f := range checkTopicSettings(ruled, topics) {
				_, line, _ := strings.Cut(f.Fix, "--entity-name ")
				topic, set, ok := strings.Cut(line, " --add-config ")
				setting, value, _ := strings.Cut(set, "=")
				if !ok || value == "" {
					t.Fatalf("no fix in %v", f)
				}
				topics[topic].Configs[setting] = value
			}
		}
		if left := checkTopicSettings(ruled, topics); len(left) != 0 {
			t.Fatalf("left: %v", left)
		}
	})
}
