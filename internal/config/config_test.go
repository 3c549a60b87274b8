package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
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
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[Secret]() || typ == reflect.TypeFor[time.Time]() {
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
		x := rapid.Float64Range(0, math.MaxFloat64).Draw(t, "rate")
		var x2 float64
		if text := (rate{field: &x}).String(); (rate{field: &x2}).set(text) != nil || x2 != x {
			t.Errorf("%v became %v as %q", x, x2, text)
		}
		day := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 365_000).Draw(t, "day"))
		var day2 time.Time
		if text := (date{&day}).String(); (date{&day2}).set(text) != nil || !day2.Equal(day) {
			t.Errorf("%v became %v as %q", day, day2, text)
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
	for i := range keys {
		if v, ok := keys[i].bind(&c).(password); ok {
			*v.field = NewSecret(secret)
		}
	}
	type wrapper struct{ inner Config } // fmt cannot call methods in here
	holders := []any{c.Kafka.SASL.Password, &c.Kafka.SASL.Password, c.Kafka.SASL, c.CMS.Auth, c, &c, wrapper{c},
		&wrapper{c},
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

func TestFlagErrors(t *testing.T) {
	tests := map[string]struct{ arg, want string }{
		"consumer key": {"--cms.auth.consumer-key=hunter2", "--cms.auth.consumer-key: is a secret and not taken as a flag, " +
			"which others could see; set BALANCEQ_CMS_AUTH_CONSUMER_KEY or --cms.auth.consumer-key-file"},
		"secret": {"--kafka.sasl.password=hunter2", "--kafka.sasl.password: is a secret and not taken as a flag, " +
			"which others could see; set BALANCEQ_KAFKA_SASL_PASSWORD or --kafka.sasl.password-file"},
		"unknown":       {"--kafka.broker=hunter2", "--kafka.broker: unknown flag; did you mean --kafka.brokers?"},
		"dashes":        {"--kafka-brokers=x", "--kafka-brokers: unknown flag; did you mean --kafka.brokers?"},
		"no section":    {"--brokers=x", "--brokers: unknown flag; did you mean --kafka.brokers?"},
		"like nothing":  {"--zzzzzzzzzzzzzz", "--zzzzzzzzzzzzzz: unknown flag; --help shows them all"},
		"without value": {"--kafka.group", "--kafka.group: needs a value; write for example --kafka.group=balanceq-staging"},
		"shorthand":     {"-x", "-x: unknown flag; write two dashes before a name, for example --cms.url"},
		"one dash": {"-kafka.sasl.password=hunter2",
			"-k: unknown flag; write two dashes before a name, for example --cms.url"},
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
	c := load(t, parse(t, "--kafka.brokers=a:1", "--kafka.brokers", "b:2,c:3", "--cms.coalesce=false",
		"--kafka.tls.enabled",
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
