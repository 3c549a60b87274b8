package kafkatest

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// What a broker refuses for good fails at once, not after a minute of trying.
func TestTopicRefused(t *testing.T) {
	t.Parallel()
	refused := map[string]struct {
		partitions int
		config     string
		want       string
	}{
		"setting":    {1, "no.such.setting=1", "INVALID_CONFIG"},
		"partitions": {0, "cleanup.policy=delete", "a topic has at least 1"},
		"form":       {1, "cleanup.policy", "not key=value"},
	}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, tb := Shared(t), &failing{TB: t}
			if b.Kind() == KindEmbedded && tc.want == "INVALID_CONFIG" {
				t.Skip("kfake takes any setting")
			}
			start := time.Now()
			func() {
				defer func() { _ = recover() }()
				b.Topic(tb, tc.partitions, tc.config)
			}()
			if took := time.Since(start); !strings.Contains(tb.message, tc.want) || took > opTimeout/2 {
				t.Errorf("message %q after %v", tb.message, took)
			}
		})
	}
}

func TestTopicConfigs(t *testing.T) {
	t.Parallel()
	b := Shared(t)
	topic := b.Topic(t, 1, "max.message.bytes=3000000", "cleanup.policy=compact")
	b.Produce(t, topic, kafka.Message{Key: []byte("k"), Value: bytes.Repeat([]byte{'x'}, 2_000_000)})
	if got := b.ReadAll(t, topic); len(got) != 1 || len(got[0].Value) != 2_000_000 {
		t.Errorf("got %s", describe(got))
	}
}

func TestUniqueName(t *testing.T) {
	t.Parallel()
	valid := regexp.MustCompile(`^[a-zA-Z0-9-]{1,100}$`)
	for name, in := range map[string]string{
		"subtest": "TestX/a b=ü_#01", "long": strings.Repeat("x", 500), "non-ASCII": strings.Repeat("é", 500), "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := uniqueName(in), uniqueName(in)
			if !valid.MatchString(one) || one == two {
				t.Errorf("names %q and %q", one, two)
			}
		})
	}
}
