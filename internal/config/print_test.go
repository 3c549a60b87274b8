package config

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// What Print writes is a file that gives the same configuration, secrets apart.
func TestPrintReadsBack(t *testing.T) {
	tests := map[string][]string{
		"defaults": nil,
		"all kinds": {"--kafka.brokers=a:1,[::1]:2", "--http.listen=off", "--cms.coalesce=false", "--instance=null",
			"--kafka.group=0x10", "--kafka.client-id=yes", "--kafka.tls.enabled", "--kafka.tls.ca-file=/a b/#c: \"d\"",
			"--cms.breaker.failure-ratio=1e-7", "--cms.max-response-bytes=1025",
			"--kafka.sasl.username=~", "--consumer.fetch-bytes=3MiB", "--shutdown.timeout=1h",
			"--cms.auth.key-expires=2027-03-31", "--cms.decryption.key-files=/a b/#c.p12,null", "--cms.rate=1e-9",
			"--cms.decryption.fields=~", "--cms.proxy=off", "--cms.hedge-after=1ms", "--cms.slow-start=0s"},
		"gives way": {"--cms.max-in-flight=1", "--cms.cool-down=1h", "--cms.breaker.open-time=4s"},
	}
	environ := []string{"BALANCEQ_KAFKA_SASL_PASSWORD=hunter2", "BALANCEQ_CMS_AUTH_CONSUMER_KEY=hunter2",
		"BALANCEQ_CMS_AUTH_KEY_PASSWORD=hunter2", "BALANCEQ_CMS_DECRYPTION_KEY_PASSWORD=hunter2"}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			first := load(t, parse(t, args...), environ...)
			var out strings.Builder
			if err := first.Print(&out, FormatYAML); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "hunter2") || strings.Count(out.String(), "[redacted]") != len(environ) {
				t.Errorf("the secrets are not redacted:\n%s", out.String())
			}
			second := load(t, parse(t, "--config="+write(t, out.String())), environ...)
			if !reflect.DeepEqual(first.Config, second.Config) {
				t.Errorf("got  %+v\nwant %+v\nfrom\n%s", second.Config, first.Config, out.String())
			}
		})
	}
}

func TestPrintShowsOrigins(t *testing.T) {
	path := write(t, "cms:\n  url: https://cms.example.com\n")
	loaded := load(t, parse(t, "--config="+path, "--log.level=debug"), "BALANCEQ_KAFKA_GROUP=g")
	var out strings.Builder
	if err := loaded.Print(&out, FormatYAML); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  group: g # BALANCEQ_KAFKA_GROUP\n", "  url: https://cms.example.com # " + path + ":2\n",
		"  level: debug # --log.level\n", "kafka:\n  brokers: [\"127.0.0.1:9092\"] # default\n",
		"  breaker:\n    window: 10s # default\n", "delivery: at-least-once # default\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}

	out.Reset()
	if err := loaded.Print(&out, FormatJSON); err != nil {
		t.Fatal(err)
	}
	var entries map[string]struct{ Value, Origin string }
	if err := json.Unmarshal([]byte(out.String()), &entries); err != nil || len(entries) != len(keys) {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if got := entries["kafka.group"]; got.Value != "g" || got.Origin != "BALANCEQ_KAFKA_GROUP" {
		t.Errorf("kafka.group: %+v", got)
	}
	if err := loaded.Print(&out, "toml"); err == nil || err.Error() != `format: "toml" is not known; use yaml or json` {
		t.Errorf("toml: %v", err)
	}
}

// example.yaml is for people; go test -update writes it.
func TestExample(t *testing.T) {
	if *update {
		if err := os.WriteFile("example.yaml", []byte(Example()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile("example.yaml")
	if err != nil || string(data) != Example() {
		t.Errorf("example.yaml is out of date (%v); run go test with -update", err)
	}
	if got, want := load(t, parse(t, "--config=example.yaml")).Config, load(t, nil).Config; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestReference(t *testing.T) {
	reference := Reference()
	for i := range keys {
		k := &keys[i]
		if n := strings.Count(reference, "\n| `"+k.name+"` | `"+k.env()+"` | "); n != 1 {
			t.Errorf("%s: listed %d times", k.name, n)
		}
	}
	for _, want := range []string{
		"| `kafka.start` | `BALANCEQ_KAFKA_START` | earliest\\|latest\\|time\\|age | `earliest` | ", "int (calls) | `256` |",
		"| string | the host name |", "| duration | `10s` |", "| secret | none |", "| date | none |",
		"number (calls per second) | `0` |",
	} {
		if !strings.Contains(reference, want) {
			t.Errorf("no %q in\n%s", want, reference)
		}
	}
	sections := map[string]bool{}
	for line := range strings.Lines(reference) {
		if strings.HasPrefix(line, "### ") {
			if sections[line] {
				t.Errorf("two sections %q", line)
			}
			sections[line] = true
		}
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 6 {
			t.Errorf("not five cells: %s", line)
		}
	}
}
