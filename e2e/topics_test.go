package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/balanceq/balanceq/cmssim"
)

// What topics create makes passes topics check, on Kafka's own defaults; each setting that does not fit is found by its
// name as the brokers spell it, with the line that fixes it, and run says so too and works.
func TestTopicsCheckKafka(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	r.requests, r.results, r.deadletters = r.requests+"-made", r.results+"-made", r.deadletters+"-made"
	replays := "--topics.replays=" + r.requests + "-replays"
	if out, code := r.run("topics", "create", "--partitions=1", replays); code != 0 {
		t.Fatalf("topics create: exit code %d: %s", code, out)
	}
	if out, code := r.run("topics", "check", replays); code != 0 || !strings.Contains(out, "good") {
		t.Fatalf("topics check: exit code %d: %s", code, out)
	}
	for _, spoiled := range []struct{ topic, setting, value, fixed string }{
		{r.requests, "cleanup.policy", "compact", "delete"},
		{r.requests, "max.message.bytes", "1150000", "1114112"}, // found at the outcomes' topics: see below
		{r.results, "message.timestamp.before.max.ms", "60000", "86400000"},
		{r.deadletters, "message.timestamp.after.max.ms", "1000", "60000"},
		{r.deadletters, "retention.ms", "3600000", "259200000"},
		{r.deadletters, "cleanup.policy", "compact,delete", "delete"},
	} {
		r.setTopic(spoiled.topic, spoiled.setting, spoiled.value)
		found := []string{"--entity-name " + spoiled.topic + " --add-config " + spoiled.setting + "=" + spoiled.fixed}
		if spoiled.setting == "max.message.bytes" {
			found = []string{"--entity-name " + r.results + " --add-config max.message.bytes=1215536",
				"--entity-name " + r.deadletters + " --add-config max.message.bytes=1215536"}
		}
		out, code := r.run("topics", "check", replays)
		missing := slices.ContainsFunc(found, func(text string) bool { return !strings.Contains(out, text) })
		if code != 1 || missing || strings.Count(out, "kafka-configs.sh") != len(found) {
			t.Errorf("%s=%s: exit code %d: %s", spoiled.setting, spoiled.value, code, out)
		}
		r.setTopic(spoiled.topic, spoiled.setting, spoiled.fixed)
	}
	if out, code := r.run("topics", "check", replays); code != 0 {
		t.Errorf("fixed: exit code %d: %s", code, out)
	}
	out, code := r.run("topics", "check", replays+"-not-made")
	if code != 1 || !strings.Contains(out, "-not-made does not exist") || !strings.Contains(out, "topics create") {
		t.Errorf("without a topic of replays: exit code %d: %s", code, out)
	}
	r.setTopic(r.results, "cleanup.policy", "compact")
	r.Send(asks(10, 5, 31_000)...)
	in := r.StartReady()
	if said := in.Logs("cleanup.policy=compact"); len(said) != 1 ||
		!strings.Contains(said[0].text("fix"), "--entity-name "+r.results) {
		t.Errorf("run says %v", said)
	}
	r.AwaitCommitted()
	in.Stop()
}
