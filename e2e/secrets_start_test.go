package e2e

import (
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// start is a call of the program that goes wrong.
type start struct {
	command string   // instead of run
	args    []string // more of them
	without []string // keys that are left out
	env     []string // more of it
	file    string   // what {file} in the arguments holds; {files} is the folder of the right ones
	want    string   // part of what is said
	until   bool     // it goes on nevertheless: it is ended as soon as it has said that
}

func withArgs(want string, args ...string) start { return start{want: want, args: args} }
func withEnv(want string, env ...string) start   { return start{want: want, env: env} }

func withFile(content, want string, args ...string) start {
	return start{want: want, args: args, file: content}
}

// Names of variables.
const (
	envConsumerKey = "BALANCEQ_CMS_AUTH_CONSUMER_KEY"
	envKeyFile     = "BALANCEQ_CMS_AUTH_KEY_FILE"
	envPassword    = "BALANCEQ_CMS_AUTH_KEY_PASSWORD"
	envDecryption  = "BALANCEQ_CMS_DECRYPTION_KEY_PASSWORD"
	envSASL        = "BALANCEQ_KAFKA_SASL_PASSWORD"
)

// startsWithKeys are those where a key or a password is wrong.
func startsWithKeys(f *keyFiles) map[string]start {
	f.putPEM("signing.pem", f.signing)
	f.putPEM("other.pem", f.stranger)
	text, err := os.ReadFile(f.at("signing.pem"))
	f.check(err)
	key := string(text)
	damaged := strings.Join(slices.Delete(strings.SplitAfter(key, "\n"), 5, 6), "")
	encrypted := strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
	block, _ := pem.Decode(text)
	const signingFile, isPath = "--cms.auth.key-file={file}", "-file: reading secret: "
	instead := withEnv("cms.auth.key-file: contains a line end", envKeyFile+"="+key)
	instead.without = []string{"cms.auth.key-file"}
	among := withArgs("kafka.sasl.password"+isPath, "--kafka.sasl.password-file", saslPassword)
	among.env = []string{envSASL + "="}
	return map[string]start{
		"wrong signing password":    withEnv("the password does not open", envPassword+"="+decryptionPassword),
		"wrong decryption password": withEnv("the password does not open", envDecryption+"="+armouredPassword),
		"rubbish":                   withFile(key[100:], "no key file", signingFile),
		"damaged PEM":               withFile(damaged, "private key cannot be read", signingFile),
		"half a PEM":                withFile(key[:900], "damaged or incomplete", signingFile),
		"half a DER":                withFile(string(block.Bytes[:900]), "no key file", signingFile),
		"encrypted PEM":             withFile(encrypted, "is encrypted", signingFile),
		"two keys":                  withFile(key+key, "several private keys", "--cms.decryption.key-files={file}"),
		"no key file":               withArgs("cms.auth.key-file: nothing", "--cms.auth.key-file={files}/nothing"),
		"a folder":                  withArgs("regular file", "--cms.auth.key-file={files}"),
		"a key as authority":        withArgs("no PEM certificate", "--cms.tls.ca-file={files}/signing.pem"),
		"another certificate's key": withArgs("cms.tls.key-file", "--cms.tls.key-file={files}/other.pem"),
		"a key as certificate":      withArgs("cms.tls.cert-file", "--cms.tls.cert-file={files}/other.pem"),
		"a damaged key for Kafka": withFile(damaged,
			"kafka.tls.cert-file, kafka.tls.key-file: ca.pem, file: tls: failed to parse",
			"--kafka.tls.enabled", "--kafka.tls.cert-file={files}/ca.pem", "--kafka.tls.key-file={file}"),
		"a key instead of its path": instead,
		"a consumer key as path": withEnv("consumer-key"+isPath, envConsumerKey+"=", envConsumerKey+"_FILE="+
			consumerKey),
		"a password as path": withEnv("key-password"+isPath, envPassword+"=", envPassword+"_FILE="+
			armouredPassword),
		"a password as path among flags": among,
		"secrets given twice":            withFile(consumerKey, "unset one of them", "--cms.auth.consumer-key-file={file}"),
		"a broken consumer key": withEnv("control character", envConsumerKey+"="+
			strings.Replace(consumerKey, "!", "\n", 1)),
	}
}

// startsWithSettings are those where a secret stands where it does not belong.
func startsWithSettings() map[string]start {
	const noFlag, noPlace = "is a secret and not taken as a flag", "has no place in this file"
	half, _, _ := strings.Cut(consumerKey, "!")
	config := func(want, auth string) start {
		return withFile("cms:\n  auth:\n    "+auth+"\n", want, "--config={file}")
	}
	misspelled := withEnv(envConsumerKey+"X: unknown variable", envConsumerKey+"X="+consumerKey)
	misspelled.command = "config check"
	login, odd := "user:"+percent(proxyPassword)+"@", "user:"+proxyPassword+"@"
	const nowhere = "--cms.url=https://no..such..host/core"
	return map[string]start{
		"a secret as flag":         withArgs(noFlag, "--cms.auth.consumer-key="+consumerKey),
		"a password as flag":       withArgs(noFlag, "--cms.auth.key-password", armouredPassword),
		"one dash":                 withArgs("two dashes", "-cms.auth.consumer-key="+consumerKey),
		"one dash with a password": withArgs("two dashes", "-kafka.sasl.password="+saslPassword),
		"unknown flag":             withArgs("unknown flag", "--cms.auth.consumerkey="+consumerKey),
		"unknown variable":         misspelled,
		"a secret in the file":     config(noPlace, "consumer-key: "+consumerKey),
		"an alias in the file":     config("not YAML", "key-password: *"+half),
		"a tag in the file":        config(noPlace, "consumer-key: !"+half+" x"),
		"a list in the file":       config(noPlace, "consumer-key: ["+consumerKey+"]"),
		"a secret for a section":   config("stands for a section", consumerKey),
		"a file that is a secret":  withFile(consumerKey, "a single value", "--config={file}"),
		"a file that is a key":     withArgs("not YAML", "--config={files}/signing.p12"),
		"a file that is PEM":       withArgs("balanceq: ", "--config={files}/client/key.pem"),
		"login in cms.url":         withArgs("cms.url: contains a user or password", "--cms.url=https://"+login+"127.0.0.1"),
		"secret in cms.url": withArgs("cms.url: contains a query", "--cms.url=https://127.0.0.1/core?key="+
			consumerKey),
		"odd login in cms.url": withArgs("cms.url: is not a URL", "--cms.url=https://"+odd+"127.0.0.1"),
		"login in cms.proxy": withArgs("cms.proxy: contains a user or password", "--cms.proxy=http://"+login+
			"127.0.0.1:3128"),
		"odd login in cms.proxy": withArgs("cms.proxy: ", "--cms.proxy="+odd+"127.0.0.1:3128"),
		"login in kafka.brokers": withArgs("kafka.brokers: contains a user or password", "--kafka.brokers="+login+
			"127.0.0.1:9092"),
		"unknown host":         {want: "no such host", until: true, args: []string{"--cms.proxy=off", nowhere}},
		"doctor, unknown host": {want: "no such host", command: "doctor", args: []string{"--cms.proxy=off", nowhere}},
		"doctor, unknown proxy": {want: "no such host", command: "doctor",
			env: proxies("http://" + login + "no..such..host:1")},
		"doctor, proxy is down": {want: "refused", command: "doctor", env: proxies("http://" + login + "127.0.0.1:1")},
		"doctor, odd proxy":     {command: "doctor", env: proxies("http://" + odd + "127.0.0.1:1")},
		"doctor, odder proxy":   {command: "doctor", env: proxies(odd + "127.0.0.1:1")},
	}
}

func proxies(address string) []string {
	return []string{"HTTPS_PROXY=" + address, "HTTP_PROXY=" + address}
}

// startsWithKafka are those where the brokers ask for a login. They know no topics.
func startsWithKafka(t *testing.T) map[string]start {
	t.Helper()
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "balanceq", saslPassword), kfake.Superuser("SCRAM-SHA-256", "balanceq", saslPassword))
	login := func(mechanism string) []string {
		return []string{"--kafka.sasl.mechanism=" + mechanism, "--kafka.sasl.username=balanceq",
			"--kafka.brokers=" + cluster.ListenAddrs()[0]}
	}
	brokers := []string{"kafka.brokers"}
	wrong := []string{envSASL + "=" + armouredPassword}
	return map[string]start{
		"PLAIN":       {args: login("plain"), without: brokers, want: "does not exist"},
		"SCRAM":       {args: login("scram-sha-256"), without: brokers, want: "does not exist"},
		"wrong PLAIN": {args: login("plain"), without: brokers, env: wrong, want: "waiting for Kafka", until: true},
		"wrong SCRAM": {args: login("scram-sha-256"), without: brokers, env: wrong, want: "waiting for Kafka", until: true},
	}
}

// Nor does it hold a secret what is said of a start that fails.
func TestFailedStartsHoldNoSecrets(t *testing.T) {
	kafkatest.OnlyOnce(t, "what the program emits")
	t.Parallel()
	w := newSecretsRig(t, false)
	for source, starts := range map[string]map[string]start{
		"keys": startsWithKeys(w.files), "settings": startsWithSettings(), "Kafka": startsWithKafka(t),
	} {
		for name, s := range starts {
			t.Run(source+"/"+name, func(t *testing.T) {
				t.Parallel()
				w.fail(t, s)
			})
		}
	}
}

// fail makes the start and searches what is said.
func (w *secretsRig) fail(t *testing.T, s start) {
	t.Helper()
	own := *w.files
	own.t, own.dir = t, t.TempDir()
	paths := strings.NewReplacer("{file}", own.put("file", []byte(s.file)), "{files}", w.files.dir)
	command := "run"
	if s.command != "" {
		command = s.command
	}
	args := strings.Fields(command)
	for _, arg := range append(w.args[1:len(w.args):len(w.args)], s.args...) {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if len(s.without) == 0 || !slices.Contains(s.without, name) || slices.Contains(s.args, arg) {
			args = append(args, paths.Replace(arg))
		}
	}
	in := launchIn(t, append(w.env[:len(w.env):len(w.env)], s.env...), args...)
	if s.until {
		in.eventually("it says "+s.want, func() bool { return strings.Contains(in.output.String(), s.want) })
		in.Kill()
	} else if code := in.wait(waitTimeout).ExitCode(); code == 0 && s.command == "" {
		t.Error("exit code 0")
	}
	said := in.output.String()
	if !strings.Contains(said, s.want) {
		t.Errorf("it does not say %q", s.want)
	}
	for _, found := range w.hunt.find(said) {
		t.Errorf("LEAK: %s", found)
	}
}
