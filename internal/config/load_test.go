package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/finding"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse returns a flag set as a command has it when it calls Load.
func parse(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("balanceq", pflag.ContinueOnError)
	Register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatalf("parsing %q: %v", args, err)
	}
	return fs
}

func load(t *testing.T, fs *pflag.FlagSet, environ ...string) *Loaded {
	t.Helper()
	loaded, err := Load(fs, environ)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return loaded
}

func write(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "balanceq.yaml")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every key is set by every source it may come from. What else a value needs to be valid is set along with it.
func TestEveryKeyFromEverySource(t *testing.T) {
	secretFile := write(t, "hunter2\n")
	companions := map[string][]string{
		"kafka.tls.cert-file": {"BALANCEQ_KAFKA_TLS_KEY_FILE=key.pem"},
		"kafka.tls.key-file":  {"BALANCEQ_KAFKA_TLS_CERT_FILE=cert.pem"},
		"kafka.sasl.mechanism": {
			"BALANCEQ_KAFKA_SASL_USERNAME=u", "BALANCEQ_KAFKA_SASL_PASSWORD=p",
		},
		"cms.tls.cert-file":        {"BALANCEQ_CMS_TLS_KEY_FILE=key.pem"},
		"cms.tls.key-file":         {"BALANCEQ_CMS_TLS_CERT_FILE=cert.pem"},
		"http.admin-tls.cert-file": {"BALANCEQ_HTTP_ADMIN_TLS_KEY_FILE=key.pem"},
		"http.admin-tls.key-file":  {"BALANCEQ_HTTP_ADMIN_TLS_CERT_FILE=cert.pem"},
		"http.admin-tls.client-ca-file": {"BALANCEQ_HTTP_ADMIN_TLS_CERT_FILE=cert.pem",
			"BALANCEQ_HTTP_ADMIN_TLS_KEY_FILE=key.pem"},
		"cms.auth.method": {"BALANCEQ_CMS_AUTH_CONSUMER_KEY=k", "BALANCEQ_CMS_AUTH_KEY_FILE=key.p12"},
	}
	for i := range keys {
		k := &keys[i]
		example := k.example
		if of := lookup(strings.TrimSuffix(k.name, "-file")); of != nil && of.secret() && of != k {
			example = secretFile // Load reads it
		}
		environ := companions[k.name]
		check := func(source, origin string, loaded *Loaded) {
			t.Helper()
			v := k.bind(&loaded.Config)
			if secret, ok := v.(password); ok && secret.field.Reveal() != example {
				t.Errorf("%s from %s: another secret", k.name, source)
			} else if !ok && v.String() != example {
				t.Errorf("%s from %s: %q, want %q", k.name, source, v, example)
			}
			if got := loaded.Origin(k.name); got != origin {
				t.Errorf("%s from %s: origin %q, want %q", k.name, source, got, origin)
			}
		}

		check("variable", k.env(), load(t, parse(t), append(slices.Clone(environ), k.env()+"="+example)...))
		if k.secret() {
			continue
		}
		check("flag", "--"+k.name, load(t, parse(t, "--"+k.name+"="+example), environ...))
		dotted := write(t, "# a comment\n"+k.name+": "+example+"\n")
		check("file", dotted+":2", load(t, parse(t, "--config="+dotted), environ...))
	}
}

func TestPrecedence(t *testing.T) {
	path := write(t, "kafka:\n  group: file\n")
	flags, variable := []string{"--kafka.group=flag"}, []string{"BALANCEQ_KAFKA_GROUP=variable"}
	file := []string{"--config=" + path}
	tests := map[string]struct {
		args, environ []string
		want, origin  string
	}{
		"nothing":                 {nil, nil, "balanceq", "default"},
		"file":                    {file, nil, "file", path + ":2"},
		"variable":                {nil, variable, "variable", "BALANCEQ_KAFKA_GROUP"},
		"flag":                    {flags, nil, "flag", "--kafka.group"},
		"file, variable":          {file, variable, "variable", "BALANCEQ_KAFKA_GROUP"},
		"file, flag":              {slices.Concat(file, flags), nil, "flag", "--kafka.group"},
		"variable, flag":          {flags, variable, "flag", "--kafka.group"},
		"file, variable, flag":    {slices.Concat(file, flags), variable, "flag", "--kafka.group"},
		"flag equal to default":   {[]string{"--kafka.group=balanceq"}, variable, "balanceq", "--kafka.group"},
		"variable names the file": {nil, []string{"BALANCEQ_CONFIG=" + path}, "file", path + ":2"},
		"flag without file": {
			[]string{"--config="}, []string{"BALANCEQ_CONFIG=" + path}, "balanceq", "default",
		},
		"last variable of a name": {nil, append([]string{"BALANCEQ_KAFKA_GROUP=first"}, variable...), "variable",
			"BALANCEQ_KAFKA_GROUP"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			loaded := load(t, parse(t, tt.args...), tt.environ...)
			if got, origin := loaded.Config.Kafka.Group, loaded.Origin("kafka.group"); got != tt.want || origin != tt.origin {
				t.Errorf("got %q from %q, want %q from %q", got, origin, tt.want, tt.origin)
			}
		})
	}
	if got := load(t, nil).Origin("kafka.grup"); got != "" {
		t.Errorf("origin of an unknown key: %q", got)
	}
}

func TestDefaults(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip("no host name:", err)
	}
	got := load(t, nil).Config
	want := Config{
		Kafka: Kafka{Brokers: []string{"127.0.0.1:9092"}, Group: "balanceq", Start: "earliest", ClientID: "balanceq",
			SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute,
			GroupProtocol: GroupClassic, TransactionTimeout: 10 * time.Second, SASL: SASL{Mechanism: "none"}},
		Topics: Topics{Requests: "balance.requests", Results: "balance.results", DeadLetters: "balance.deadletters",
			Replays: "balance.replays"},
		CMS: CMS{Settings: cmsclient.DefaultSettings(), Coalesce: true, MaxAttempts: 5,
			Backoff:    Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second},
			Auth:       Auth{Method: "none", Signature: "rsa-sha256"},
			Decryption: Decryption{Fields: []string{"encryptedData", "encryptedValue"}},
			Proxy:      "environment"},
		Consumer: Consumer{CommitInterval: 100 * time.Millisecond, RunAhead: 1024, FetchBytes: 128 << 10},
		Producer: Producer{BufferBytes: 32 << 20},
		Delivery: "at-least-once",
		Results: Results{
			EchoHeaders: []string{"kafka_correlationId", "correlationId", "x-correlation-id", "REPLY_CORRELATION_ID"}},
		DeadLetters: DeadLetters{Budget: 0.5, BudgetWindow: 5 * time.Minute},
		Instance:    host,
		HTTP:        HTTP{Listen: "127.0.0.1:8080", Admin: "127.0.0.1:8081"},
		Watchdog:    Watchdog{After: 2 * time.Minute},
		Telemetry:   Telemetry{Traces: Traces{Parent: "request"}},
		Log:         Log{Level: "info", Format: "auto"},
		Shutdown:    Shutdown{Timeout: 20 * time.Second},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What is wrong in a source is reported even where a later source replaces it, and all of it at once.
func TestProblemsOfAllSources(t *testing.T) {
	path := write(t, "kafka.group: \"\"\ncms.timeout: soon\n")
	_, err := Load(parse(t, "--config="+path, "--cms.timeout=2s", "--cms.coalesce=maybe", "--kafka.session-timeout=70s"),
		[]string{"BALANCEQ_CMS_MAX_IN_FLIGHT=", "BALANCEQ_KAFKA_REBALANCE_TIMEOUT=65s"})
	want := strings.Join([]string{
		`cms.timeout: "soon" is not a number with a unit (ms, s, m or h); write for example 2s (` + path + `:2)`,
		`cms.max-in-flight: is empty; write a whole number, for example 64 (BALANCEQ_CMS_MAX_IN_FLIGHT)`,
		`cms.coalesce: "maybe" is not true or false; write for example false (--cms.coalesce)`,
		`kafka.group: is empty; write a name (` + path + `:1)`,
		`kafka.session-timeout: 1m10s is not below kafka.rebalance-timeout (1m5s); lower it or raise the other` +
			` (--kafka.session-timeout, BALANCEQ_KAFKA_REBALANCE_TIMEOUT)`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestSecrets(t *testing.T) {
	login := []string{"BALANCEQ_KAFKA_SASL_MECHANISM=plain", "BALANCEQ_KAFKA_SASL_USERNAME=u"}
	file := write(t, "hunter2\r\n")
	empty := write(t, "\n")
	missing := filepath.Join(t.TempDir(), "missing")
	tests := map[string]struct {
		environ      []string
		want, origin string
		err          string
	}{
		"variable": {[]string{"BALANCEQ_KAFKA_SASL_PASSWORD=hunter2"}, "hunter2", "BALANCEQ_KAFKA_SASL_PASSWORD", ""},
		"variable with a line end": {[]string{"BALANCEQ_KAFKA_SASL_PASSWORD=hunter2\n"}, "hunter2",
			"BALANCEQ_KAFKA_SASL_PASSWORD", ""},
		"file": {[]string{"BALANCEQ_KAFKA_SASL_PASSWORD_FILE=" + file}, "hunter2", "kafka.sasl.password-file", ""},
		"file and an empty variable": {
			[]string{"BALANCEQ_KAFKA_SASL_PASSWORD_FILE=" + file, "BALANCEQ_KAFKA_SASL_PASSWORD="},
			"hunter2", "kafka.sasl.password-file", "",
		},
		"both": {
			[]string{"BALANCEQ_KAFKA_SASL_PASSWORD_FILE=" + file, "BALANCEQ_KAFKA_SASL_PASSWORD=hunter2"}, "", "",
			"kafka.sasl.password: is given, and so is kafka.sasl.password-file; unset one of them" +
				" (BALANCEQ_KAFKA_SASL_PASSWORD, BALANCEQ_KAFKA_SASL_PASSWORD_FILE)",
		},
		"neither": {nil, "", "", "kafka.sasl.mechanism: plain needs a password; set BALANCEQ_KAFKA_SASL_PASSWORD or" +
			" kafka.sasl.password-file (BALANCEQ_KAFKA_SASL_MECHANISM)"},
		"empty file": {[]string{"BALANCEQ_KAFKA_SASL_PASSWORD_FILE=" + empty}, "", "",
			"kafka.sasl.password-file: the file is empty; write the secret into it (BALANCEQ_KAFKA_SASL_PASSWORD_FILE)"},
		"missing file": {[]string{"BALANCEQ_KAFKA_SASL_PASSWORD_FILE=" + missing}, "", "",
			"kafka.sasl.password-file: reading secret: no such file or directory;" +
				" name a file that this process may read (BALANCEQ_KAFKA_SASL_PASSWORD_FILE)"},
		"control character": {[]string{"BALANCEQ_KAFKA_SASL_PASSWORD=hun\nter2"}, "", "",
			"kafka.sasl.password: contains a control character or is not valid UTF-8; write it again" +
				" (BALANCEQ_KAFKA_SASL_PASSWORD)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			loaded, err := Load(nil, append(slices.Clone(login), tt.environ...))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got:\n%v\nwant:\n%s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := loaded.Config.Kafka.SASL.Password.Reveal(); got != tt.want {
				t.Error("another password")
			}
			if got := loaded.Origin("kafka.sasl.password"); got != tt.origin {
				t.Errorf("origin %q, want %q", got, tt.origin)
			}
		})
	}
}

func lines(warnings []finding.Finding) (lines []string) {
	for _, f := range warnings {
		lines = append(lines, f.String())
	}
	return lines
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    []string
	}{
		"none":         {[]string{"PATH=/bin", "BALANCEQ_CMS_URL=https://cms.example.com"}, nil},
		"http locally": {[]string{"BALANCEQ_CMS_URL=http://127.0.0.2:80/x"}, nil},
		"http by name": {[]string{"BALANCEQ_CMS_URL=http://LocalHost:8090"}, nil},
		"http IPv6":    {[]string{"BALANCEQ_CMS_URL=http://[::1]:8090"}, nil},
		"http": {[]string{"BALANCEQ_CMS_URL=http://cms-sim:8090"},
			[]string{"cms.url: balances travel unencrypted over http; use https (BALANCEQ_CMS_URL)"}},
		"unknown variable": {[]string{"BALANCEQ_KAFKA_BROKER=hunter2"},
			[]string{"BALANCEQ_KAFKA_BROKER: unknown variable, ignored; did you mean BALANCEQ_KAFKA_BROKERS?"}},
		"of Kubernetes": {[]string{
			"BALANCEQ_SERVICE_HOST=10.0.0.1", "BALANCEQ_SERVICE_PORT=80", "BALANCEQ_SERVICE_PORT_HTTP=80",
			"BALANCEQ_PORT=tcp://10.0.0.1:80", "BALANCEQ_PORT_80_TCP=tcp://10.0.0.1:80", "BALANCEQ_PORT_80_TCP_ADDR=10.0.0.1",
			"BALANCEQ_CONSOLE_SERVICE_HOST=10.0.0.1", "BALANCEQ_CONSOLE_PORT_80_TCP_PROTO=tcp",
		}, nil},
		"of tests": {[]string{"BALANCEQ_TEST_BROKERS=x", "BALANCEQ_REQUIRE_CONTAINERS=1"}, nil},
		"short shutdown": {[]string{"BALANCEQ_SHUTDOWN_TIMEOUT=1s"},
			[]string{"shutdown.timeout: 1s is below cms.timeout (5s), so calls may be cut off and repeated after each restart;" +
				" raise it (BALANCEQ_SHUTDOWN_TIMEOUT)"}},
		"TLS files without TLS": {[]string{"BALANCEQ_KAFKA_TLS_CA_FILE=ca.pem"},
			[]string{"kafka.tls.ca-file: has no effect while kafka.tls.enabled is false; set that to true" +
				" (BALANCEQ_KAFKA_TLS_CA_FILE)"}},
		"user without mechanism": {[]string{"BALANCEQ_KAFKA_SASL_USERNAME=u"},
			[]string{"kafka.sasl.mechanism: is none, so the user and password have no effect; " +
				"set it to the brokers' mechanism"}},
		"headers over http": {[]string{"BALANCEQ_TELEMETRY_OTLP_ENDPOINT=http://collector:4318",
			"BALANCEQ_TELEMETRY_OTLP_HEADERS=api-key=hunter2"},
			[]string{"telemetry.otlp.endpoint: over http anybody on the way can read the headers; use https" +
				" (BALANCEQ_TELEMETRY_OTLP_ENDPOINT, BALANCEQ_TELEMETRY_OTLP_HEADERS)"}},
		"reply topics without failures": {[]string{"BALANCEQ_RESULTS_REPLY_TOPICS=replies"},
			[]string{"results.reply-topics: who waits there hears of no failure while results.publish-failures is false;" +
				" set that to true (BALANCEQ_RESULTS_REPLY_TOPICS)"}},
		"reply topics with them": {
			[]string{"BALANCEQ_RESULTS_REPLY_TOPICS=replies", "BALANCEQ_RESULTS_PUBLISH_FAILURES=true"}, nil},
		"no headers over http": {[]string{"BALANCEQ_TELEMETRY_OTLP_ENDPOINT=http://collector:4318"}, nil},
		"plain without TLS": {[]string{"BALANCEQ_KAFKA_SASL_USERNAME=u", "BALANCEQ_KAFKA_SASL_PASSWORD=p",
			"BALANCEQ_KAFKA_SASL_MECHANISM=plain", "BALANCEQ_KAFKA_BROKERS=127.0.0.1:9092,kafka-1:9092"},
			[]string{"kafka.sasl.mechanism: plain sends the password unencrypted; set kafka.tls.enabled to true" +
				" (BALANCEQ_KAFKA_SASL_MECHANISM)"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := lines(load(t, nil, tt.environ...).Warnings); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// What is wrong in a configuration is told with all of its keys, and the rest of it can be used all the same.
func TestInspect(t *testing.T) {
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"nothing":    {[]string{"BALANCEQ_CMS_URL=http://cms"}, ""},
		"no CMS":     {nil, "[cms.url]"},
		"an address": {[]string{"BALANCEQ_CMS_URL=cms"}, "[cms.url]"},
		"a value":    {[]string{"BALANCEQ_CMS_URL=http://cms", "BALANCEQ_CMS_TIMEOUT=soon"}, "[cms.timeout]"},
		"a pair": {[]string{"BALANCEQ_CMS_URL=http://cms", "BALANCEQ_TOPICS_RESULTS=balance.requests"},
			"[topics.results topics.requests]"},
		"no file": {[]string{"BALANCEQ_CONFIG=/none.yaml"}, "[]"},
	} {
		loaded, problems := Inspect(nil, append(test.environ, "BALANCEQ_KAFKA_GROUP=g"))
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprint(p.Keys))
		}
		if strings.Join(got, " ") != test.want || loaded.Config.Kafka.Group != "g" {
			t.Errorf("%s: %q, want %q; %v", name, got, test.want, problems)
		}
	}
}
