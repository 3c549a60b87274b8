package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// The table's promises, which the rest of the package relies on.
func TestTable(t *testing.T) {
	names, variables := map[string]bool{}, map[string]bool{}
	for i := range keys {
		k := &keys[i]
		if names[k.name] || variables[k.env()] || foreign.MatchString(k.env()) {
			t.Errorf("%s: the name or the variable %s is taken", k.name, k.env())
		}
		names[k.name], variables[k.env()] = true, true
		if k.help == "" || strings.HasSuffix(k.help, ".") || strings.Contains(k.help, "`") || k.example == "" {
			t.Errorf("%s: help %q, example %q", k.name, k.help, k.example)
		}
		if k.secret() {
			if lookup(k.name+"-file") == nil {
				t.Errorf("%s: a secret without a key for its file", k.name)
			}
			continue
		}
		var c Config
		v := k.bind(&c)
		for _, s := range []string{k.def, k.example} {
			if err := v.set(s); err != nil || v.check() != nil {
				t.Errorf("%s: %q: %v, %v", k.name, s, err, v.check())
			}
		}
		if k.example == k.def && k.name != "delivery" {
			t.Errorf("%s: the example is the default", k.name)
		}
	}
	if variables[envName(fileFlag)] || names[fileFlag] {
		t.Errorf("%s is the flag for the file", fileFlag)
	}
	// Two rows bound to one field, or a field without a row, would otherwise go unnoticed.
	if got := countFields(reflect.TypeFor[Config]()); got != len(keys) {
		t.Errorf("%d fields for %d keys", got, len(keys))
	}
}

func countFields(typ reflect.Type) int {
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[Secret]() {
		return 1
	}
	n := 0
	for f := range typ.Fields() {
		n += countFields(f.Type)
	}
	return n
}

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	const want = "cms.url: is not set; set BALANCEQ_CMS_URL, --cms.url or the file's key to the CMS's base URL, " +
		"for example https://sandbox.api.mastercard.com/global-processing/core"
	if err := c.ValidateRun(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	c.CMS.URL = "https://cms.example.com:8443/processing/"
	if err := c.ValidateRun(); err != nil {
		t.Error(err)
	}
}

func TestValuesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "duration"))
		n := rapid.Int64Min(0).Draw(t, "size")
		if rapid.Bool().Draw(t, "round") {
			d, n = d.Truncate(time.Minute), n&^(1<<20-1)
		}
		var d2 time.Duration
		if text := (duration{field: &d}).String(); (duration{field: &d2}).set(text) != nil || d2 != d {
			t.Errorf("%v became %v as %q", d, d2, text)
		}
		var n2 int64
		if text := (size{field: &n}).String(); (size{field: &n2}).set(text) != nil || n2 != n {
			t.Errorf("%d became %d as %q", n, n2, text)
		}
	})
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 10 * time.Minute: "10m", 20 * time.Hour: "20h", time.Hour + time.Second: "1h0m1s",
		90 * time.Second: "1m30s", 100 * time.Millisecond: "100ms", time.Hour + 30*time.Minute: "1h30m",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 1536: "1536", 256 << 10: "256KiB", 1 << 30: "1GiB", 3 << 20: "3MiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestSecretIsRedacted(t *testing.T) {
	const secret = "hunter2"
	c := Default()
	c.Kafka.SASL.Password = NewSecret(secret)
	type wrapper struct{ inner Config } // fmt cannot call methods in here
	holders := []any{c.Kafka.SASL.Password, &c.Kafka.SASL.Password, c.Kafka.SASL, c, &c, wrapper{c}, &wrapper{c},
		[]Config{c}}

	// Each verb in its forms, and what encoders make of it. In bytes and in hex, too.
	forbidden := []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("%v", []byte(secret))}
	look := func(how, got string) {
		t.Helper()
		for _, f := range forbidden {
			if strings.Contains(got, f) {
				t.Errorf("%s shows the secret: %s", how, got)
			}
		}
	}
	for _, holder := range holders {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			for _, flags := range []string{"", "+", "#", " ", "0", "-20", "+#", "# "} {
				format := "%" + flags + string(verb)
				look(fmt.Sprintf("%s of %T", format, holder), fmt.Sprintf(format, holder))
			}
		}
		data, err := json.Marshal(holder)
		if err != nil {
			t.Fatal(err)
		}
		look(fmt.Sprintf("JSON of %T", holder), string(data))
		if data, err = yaml.Marshal(holder); err != nil {
			t.Fatal(err)
		}
		look(fmt.Sprintf("YAML of %T", holder), string(data))
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "holder", holder)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "holder", holder)
		look(fmt.Sprintf("slog of %T", holder), log.String())
	}

	for format, want := range map[string]string{
		"%s": "[redacted]", "%v": "[redacted]", "%q": "[redacted]", "%x": "[redacted]", "%#v": `config.Secret("[redacted]")`,
	} {
		if got := fmt.Sprintf(format, c.Kafka.SASL.Password); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
	if got := fmt.Sprint(Secret{}) + NewSecret("").Reveal(); got != "" || NewSecret("").IsSet() {
		t.Errorf("a secret that is not set: %q", got)
	}
	if c.Kafka.SASL.Password.Reveal() != secret {
		t.Error("Reveal does not")
	}
}

// What Print writes is a file that gives the same configuration, secrets apart.
func TestPrintReadsBack(t *testing.T) {
	tests := map[string][]string{
		"defaults": nil,
		"all kinds": {"--kafka.brokers=a:1,[::1]:2", "--http.listen=off", "--cms.coalesce=false", "--instance=null",
			"--kafka.group=0x10", "--kafka.client-id=yes", "--kafka.tls.enabled", "--kafka.tls.ca-file=/a b/#c: \"d\"",
			"--cms.breaker.failure-ratio=1e-7", "--cms.max-response-bytes=1025",
			"--kafka.sasl.username=~", "--consumer.fetch-bytes=3MiB", "--shutdown.timeout=1h"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			first := load(t, parse(t, args...), "BALANCEQ_KAFKA_SASL_PASSWORD=hunter2")
			var out strings.Builder
			if err := first.Print(&out, FormatYAML); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "# password: [redacted]") {
				t.Errorf("the secret is not redacted:\n%s", out.String())
			}
			second := load(t, parse(t, "--config="+write(t, out.String())), "BALANCEQ_KAFKA_SASL_PASSWORD=hunter2")
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
		"| `kafka.start` | `BALANCEQ_KAFKA_START` | earliest\\|latest | `earliest` | ", "int (calls) | `256` |",
		"| string | the host name |", "| duration | `10s` |", "| secret | none |",
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

func TestFlagErrors(t *testing.T) {
	tests := map[string]struct{ arg, want string }{
		"secret": {"--kafka.sasl.password=hunter2", "--kafka.sasl.password: is a secret and not taken as a flag, " +
			"which others could see; set BALANCEQ_KAFKA_SASL_PASSWORD or --kafka.sasl.password-file"},
		"unknown":       {"--kafka.broker=hunter2", "--kafka.broker: unknown flag; did you mean --kafka.brokers?"},
		"dashes":        {"--kafka-brokers=x", "--kafka-brokers: unknown flag; did you mean --kafka.brokers?"},
		"no section":    {"--brokers=x", "--brokers: unknown flag; did you mean --kafka.brokers?"},
		"like nothing":  {"--zzzzzzzzzzzzzz", "--zzzzzzzzzzzzzz: unknown flag; --help shows them all"},
		"without value": {"--kafka.group", "--kafka.group: needs a value; write for example --kafka.group=balanceq-staging"},
		"shorthand":     {"-x", "unknown shorthand flag: 'x' in -x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fs := pflag.NewFlagSet("balanceq", pflag.ContinueOnError)
			Register(fs)
			err := fs.Parse([]string{tt.arg})
			if err == nil {
				t.Fatal("parsed")
			}
			if got := FlagError(fs, err).Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	c := load(t, parse(t, "--kafka.brokers=a:1", "--kafka.brokers", "b:2,c:3", "--cms.coalesce=false", "--kafka.tls.enabled",
		"--kafka.group=first", "--kafka.group=second")).Config
	if got := strings.Join(c.Kafka.Brokers, " "); got != "a:1 b:2 c:3" {
		t.Errorf("brokers: %s", got)
	}
	if c.CMS.Coalesce || !c.Kafka.TLS.Enabled || c.Kafka.Group != "second" {
		t.Errorf("got %+v", c)
	}
	usage := parse(t).FlagUsages()
	for _, want := range []string{"--cms.timeout duration", "(default 5s)", "--kafka.start earliest|latest",
		"(default: the host name)", "--cms.coalesce  "} {
		if !strings.Contains(usage, want) {
			t.Errorf("no %q in\n%s", want, usage)
		}
	}
	if strings.Contains(usage, "--kafka.sasl.password ") {
		t.Error("there is a flag for the password")
	}
}
