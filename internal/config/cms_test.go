package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// goodKey has the shape of a consumer key.
var goodKey = strings.Repeat("k", 48) + "!" + strings.Repeat("0", 48)

// Every secret comes from its file too, and from one place only.
func TestEverySecretHasAFile(t *testing.T) {
	secretFile := write(t, "hunter2\r\n")
	seen := 0
	for i := range keys {
		k := &keys[i]
		if !k.secret() {
			continue
		}
		seen++
		fileKey := lookup(k.name + "-file")
		loaded := load(t, nil, fileKey.env()+"="+secretFile)
		if k.bind(&loaded.Config).(password).field.Reveal() != "hunter2" || loaded.Origin(k.name) != fileKey.name {
			t.Errorf("%s: another secret, or from %q", k.name, loaded.Origin(k.name))
		}

		for text, source := range map[string]struct{ file, environ []string }{
			fmt.Sprintf("%s: is given, and so is %s; unset one of them (%s, %s)", k.name, fileKey.name, k.env(),
				fileKey.env()): {
				environ: []string{k.env() + "=hunter2", fileKey.env() + "=" + secretFile}},
			fmt.Sprintf("%s: is a secret and has no place in this file; set %s or %s", k.name, k.env(), fileKey.name): {
				file: []string{"--config=" + write(t, k.name+": hunter2\n")}},
		} {
			_, err := Load(parse(t, source.file...), source.environ)
			if err == nil || !strings.HasPrefix(err.Error(), text) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v\nwant %s", err, text)
			}
		}
	}
	if seen != 7 {
		t.Errorf("%d secrets", seen)
	}
}

func TestOAuth1NeedsBothKeys(t *testing.T) {
	const (
		noConsumerKey = "cms.auth.method: oauth1 needs a consumer key; set BALANCEQ_CMS_AUTH_CONSUMER_KEY or" +
			" cms.auth.consumer-key-file (BALANCEQ_CMS_AUTH_METHOD)"
		noSigningKey = "cms.auth.method: oauth1 needs a signing key; set cms.auth.key-file (BALANCEQ_CMS_AUTH_METHOD)"
	)
	consumerKey, keyFile := "BALANCEQ_CMS_AUTH_CONSUMER_KEY="+goodKey, "BALANCEQ_CMS_AUTH_KEY_FILE=/run/key.p12"
	tests := map[string]struct {
		environ []string
		want    string
	}{
		"both":         {[]string{consumerKey, keyFile}, ""},
		"consumer key": {[]string{consumerKey}, noSigningKey},
		"signing key":  {[]string{keyFile}, noConsumerKey},
		"neither":      {nil, noConsumerKey + "\n" + noSigningKey},
		"from a file":  {[]string{keyFile, "BALANCEQ_CMS_AUTH_CONSUMER_KEY_FILE=" + write(t, goodKey+"\n")}, ""},
		"empty variable": {[]string{keyFile, "BALANCEQ_CMS_AUTH_CONSUMER_KEY="},
			strings.Replace(noConsumerKey, "METHOD)", "METHOD, BALANCEQ_CMS_AUTH_CONSUMER_KEY)", 1)},
		"password instead": {[]string{consumerKey, "BALANCEQ_CMS_AUTH_KEY_PASSWORD=p"}, noSigningKey},
		"control character": {[]string{keyFile, "BALANCEQ_CMS_AUTH_CONSUMER_KEY=a\tb"},
			"cms.auth.consumer-key: contains a control character or is not valid UTF-8; write it again" +
				" (BALANCEQ_CMS_AUTH_CONSUMER_KEY)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load(nil, append([]string{"BALANCEQ_CMS_AUTH_METHOD=oauth1"}, tt.environ...))
			if got := fmt.Sprint(err); err == nil && tt.want != "" || err != nil && got != tt.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
		})
	}
	if _, err := Load(nil, nil); err != nil {
		t.Errorf("none needs no keys, but: %v", err)
	}
}

func TestDates(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2027-03-31": time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC),
		"2028-02-29": time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC),
		"":           {},
	} {
		c := load(t, parse(t, "--cms.auth.key-expires="+text, "--cms.decryption.key-expires="+text)).Config
		if !c.CMS.Auth.KeyExpires.Equal(want) || !c.CMS.Decryption.KeyExpires.Equal(want) {
			t.Errorf("%q: %v and %v", text, c.CMS.Auth.KeyExpires, c.CMS.Decryption.KeyExpires)
		}
	}
	for _, text := range []string{"2027-02-29", "2027-3-31", "31.03.2027", "2027-03-31T00:00:00Z", " 2027-03-31",
		"never"} {
		want := fmt.Sprintf("cms.auth.key-expires: %q is not a date (YYYY-MM-DD); write for example 2027-03-31"+
			" (--cms.auth.key-expires)", text)
		if _, err := Load(parse(t, "--cms.auth.key-expires="+text), nil); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	// A day somewhere else is another one in UTC.
	east := time.Date(2027, 4, 1, 1, 0, 0, 0, time.FixedZone("east", 2*60*60))
	if got := (date{&east}).String(); got != "2027-03-31" {
		t.Errorf("%v: %s", east, got)
	}
}

func TestProxy(t *testing.T) {
	const (
		like = "; write for example http://proxy.example.com:3128"
		path = "contains a path; remove what follows the port"
		user = "contains a user or password; for a proxy with a password set the variable HTTPS_PROXY, and let the " +
			"environment choose"
	)
	tests := map[string]string{
		"environment": "", "off": "", "http://proxy:3128": "", "https://proxy.example.com:443": "",
		"http://10.0.0.1:8080/": "", "HTTP://[::1]:3128": "",

		"":                                "is empty; write environment, off or for example http://proxy.example.com:3128",
		"Off":                             "does not start with https:// or http://; write the whole address",
		"proxy:3128":                      "does not start with https:// or http://; write the whole address",
		"socks5://proxy:1080":             "does not start with https:// or http://; write the whole address",
		"10.0.0.1:3128":                   "is not a URL" + like,
		"http://proxy":                    "names no port" + like,
		"http://proxy:0":                  "names no port" + like,
		"http://proxy:":                   "ends its host with a colon; write the port or remove the colon",
		"http://proxy:65536":              "has a port above 65535; correct it",
		"http://:3128":                    "names no host" + like,
		"http://proxy:3128/cms":           path,
		"http://proxy:3128?hunter2":       "contains a query; remove the ? and what follows",
		"http://proxy:3128#hunter2":       "contains a fragment; remove the # and what follows",
		"http://u:hunter2@proxy:3128":     user,
		"http://hunter2@proxy:3128":       user,
		"http://u:hunter2%zz@proxy:3128":  "is not a URL" + like,
		"u:hunter2@proxy:3128":            "does not start with https:// or http://; write the whole address",
		"http://proxy:3128\n":             "contains a line end or another unprintable character; remove it",
		"http://proxy:3128,http://b:3128": "is not a URL" + like,
	}
	for s, want := range tests {
		got := ""
		if f := lookup("cms.proxy").bind(&Config{CMS: CMS{Proxy: s}}).check(); f != nil {
			got = f.what + "; " + f.fix
		}
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}

	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`(https?://)?(u?:?hunter2@)?[a-z.:0-9%\[\]-]{0,8}(:[0-9]{0,6})?[/?#]?(hunter2)?`).
			Draw(t, "proxy")
		switch f := checkProxy(s); {
		case f != nil && strings.Contains(f.what+f.fix, "hunter2"):
			t.Errorf("%q: the message repeats it: %v", s, f)
		case f == nil && s != ProxyOff:
			if u, err := url.Parse(s); err != nil || u.User != nil || u.Port() == "" || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("accepted %q", s)
			}
		}
	})
}

// A limit that only has its default gives way, and says to which key; one that was given never does.
func TestDefaultsGiveWay(t *testing.T) {
	const least, open, cool, back = "cms.min-in-flight", "cms.breaker.max-open-time", "cms.max-cool-down",
		"cms.backoff.max"
	tests := map[string]struct {
		args    []string
		key     string
		want    string
		origin  string
		problem string
	}{
		"below the minimum": {[]string{"--cms.max-in-flight=4"}, least, "4", "cms.max-in-flight", ""},
		"the minimum":       {[]string{"--cms.max-in-flight=8"}, least, "8", "default", ""},
		"minimum given": {[]string{"--cms.min-in-flight=3", "--cms.max-in-flight=4"}, least, "3", "--cms.min-in-flight",
			""},
		"open longer":         {[]string{"--cms.breaker.open-time=4s"}, open, "4s", "cms.breaker.open-time", ""},
		"open shorter":        {[]string{"--cms.breaker.open-time=500ms"}, open, "3s", "default", ""},
		"cooling down longer": {[]string{"--cms.cool-down=2m"}, cool, "2m", "cms.cool-down", ""},
		"backing off longer":  {[]string{"--cms.backoff.initial=6s"}, back, "6s", "cms.backoff.initial", ""},
		"a longer timeout":    {[]string{"--cms.timeout=8s"}, windowKey, "16s", "cms.timeout", ""},
		"a slow rebalance":    {[]string{"--kafka.rebalance-timeout=2m"}, watchdogKey, "4m", "kafka.rebalance-timeout", ""},
		"a slow CMS":          {[]string{"--cms.timeout=30m"}, watchdogKey, "1h", "cms.timeout", ""},
		"watchdog given":      {[]string{"--watchdog.after=61s"}, watchdogKey, "1m1s", "--watchdog.after", ""},
		"watchdog too early": {args: []string{"--watchdog.after=1m"}, problem: "watchdog.after: 1m is not above " +
			"kafka.rebalance-timeout (1m), which may take that long with nothing wrong; raise it or lower the other " +
			"(--watchdog.after)"},
		"watchdog at once": {args: []string{"--watchdog.after=29s"},
			problem: "watchdog.after: 29s is too little; set at least 30s (--watchdog.after)"},
		"minimum above the default": {args: []string{"--cms.min-in-flight=300"}, problem: "cms.min-in-flight: 300 is above " +
			"cms.max-in-flight (256); lower it or raise the other (--cms.min-in-flight)"},
		"default given as the minimum": {args: []string{"--cms.min-in-flight=8", "--cms.max-in-flight=4"},
			problem: "cms.min-in-flight: 8 is above cms.max-in-flight (4); lower it or raise the other" +
				" (--cms.min-in-flight, --cms.max-in-flight)"},
		"default given as the limit": {args: []string{"--cms.max-cool-down=1m", "--cms.cool-down=2m"},
			problem: "cms.cool-down: 2m is above cms.max-cool-down (1m); lower it or raise the other" +
				" (--cms.cool-down, --cms.max-cool-down)"},
		"limit below the default": {args: []string{"--cms.breaker.max-open-time=500ms"},
			problem: "cms.breaker.open-time: 1s is above cms.breaker.max-open-time (500ms); lower it or raise the other" +
				" (--cms.breaker.max-open-time)"},
		// No default gives way to nonsense: one message is enough.
		"too little": {args: []string{"--cms.max-in-flight=0"},
			problem: "cms.max-in-flight: 0 is too little; set at least 1 (--cms.max-in-flight)"},
		"too much": {args: []string{"--cms.cool-down=2h"},
			problem: "cms.cool-down: 2h is too much; set at most 1h (--cms.cool-down)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			loaded, err := Load(parse(t, tt.args...), nil)
			if tt.problem != "" {
				if err == nil || err.Error() != tt.problem {
					t.Errorf("got:\n%v\nwant:\n%s", err, tt.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, origin := lookup(tt.key).bind(&loaded.Config).String(), loaded.Origin(tt.key); got != tt.want ||
				origin != tt.origin {
				t.Errorf("%s is %s from %s, want %s from %s", tt.key, got, origin, tt.want, tt.origin)
			}
		})
	}
}

func TestCMSWarnings(t *testing.T) {
	const (
		sandbox = "BALANCEQ_CMS_URL=https://sandbox.API.mastercard.com./global-processing/core"
		method  = "BALANCEQ_CMS_AUTH_METHOD=oauth1"
		keyFile = "BALANCEQ_CMS_AUTH_KEY_FILE=/run/key.p12"
		opens   = "BALANCEQ_CMS_DECRYPTION_KEY_FILES=/run/mek.p12"

		overHTTP = "cms.url: balances travel unencrypted over http; use https (BALANCEQ_CMS_URL)"
		unsigned = "cms.auth.method: is none, but Mastercard's gateway refuses unsigned calls; set it to oauth1 " +
			"(BALANCEQ_CMS_URL)"
		unused = "cms.auth.method: is none, so consumer key and signing key have no effect; set it to oauth1"
		shape  = `cms.auth.consumer-key: is not of the usual shape (48 characters, "!", 48 characters); ` +
			"copy it again from Mastercard Developers (BALANCEQ_CMS_AUTH_CONSUMER_KEY)"
		closed = "cms.decryption.key-files: is empty, but answers may be encrypted; " +
			"name the file of the Mastercard Encryption Key (BALANCEQ_CMS_URL)"
	)
	variable := func(key string) string { return "BALANCEQ_CMS_AUTH_CONSUMER_KEY=" + key }
	tests := map[string]struct {
		environ []string
		want    []string
	}{
		"signed, opened":      {[]string{sandbox, method, keyFile, opens, variable(goodKey)}, nil},
		"unsigned":            {[]string{sandbox}, []string{unsigned}},
		"unsigned, over http": {[]string{"BALANCEQ_CMS_URL=http://x.mastercard.com"}, []string{overHTTP, unsigned}},
		"another's host":      {[]string{"BALANCEQ_CMS_URL=https://notmastercard.com"}, nil},
		"named like it":       {[]string{"BALANCEQ_CMS_URL=https://api.mastercard.com.example.com"}, nil},
		"in the path":         {[]string{"BALANCEQ_CMS_URL=https://example.com/.mastercard.com"}, nil},
		"consumer key unused": {[]string{variable(goodKey)}, []string{unused}},
		"signing key unused":  {[]string{keyFile}, []string{unused}},
		"password unused":     {[]string{"BALANCEQ_CMS_AUTH_KEY_PASSWORD=p"}, []string{unused}},
		"expiry alone":        {[]string{"BALANCEQ_CMS_AUTH_KEY_EXPIRES=2027-01-01"}, nil},
		"closed":              {[]string{sandbox, method, keyFile, variable(goodKey)}, []string{closed}},
		"closed elsewhere": {[]string{"BALANCEQ_CMS_URL=https://cms.example.com", method, keyFile, variable(goodKey)},
			nil},
		"signed, no URL": {[]string{method, keyFile, variable(goodKey)}, nil},
		"signed to a simulator": {[]string{"BALANCEQ_CMS_URL=http://127.0.0.1:8090", method, keyFile, variable(goodKey)},
			nil},
		"signed over http": {[]string{"BALANCEQ_CMS_URL=http://cms.example.com", method, keyFile, variable(goodKey)},
			[]string{overHTTP,
				"cms.auth.method: over http anybody on the way can read the consumer key and change the answers to signed calls;" +
					" use https (BALANCEQ_CMS_AUTH_METHOD, BALANCEQ_CMS_URL)"}},
		"key too short":   {[]string{method, keyFile, variable(goodKey[:96])}, []string{shape}},
		"key too long":    {[]string{method, keyFile, variable(goodKey + "0")}, []string{shape}},
		"without a mark":  {[]string{method, keyFile, variable(strings.ReplaceAll(goodKey, "!", "k"))}, []string{shape}},
		"the mark moved":  {[]string{method, keyFile, variable(goodKey[1:] + "0")}, []string{shape}},
		"with a space":    {[]string{method, keyFile, variable(" " + goodKey[1:])}, []string{shape}},
		"in other glyphs": {[]string{method, keyFile, variable(strings.ReplaceAll(goodKey, "k", "ķ"))}, []string{shape}},
		"with a line end": {[]string{method, keyFile, variable(goodKey + "\n")}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := lines(load(t, nil, tt.environ...).Warnings); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// What is given is what somebody has written: not the limits that gave way to it.
func TestGiven(t *testing.T) {
	loaded := load(t, parse(t, "--cms.timeout=8s"), "BALANCEQ_KAFKA_SASL_MECHANISM=plain",
		"BALANCEQ_KAFKA_SASL_USERNAME=u",
		"BALANCEQ_KAFKA_SASL_PASSWORD_FILE="+write(t, "hunter2"))
	want := map[string]string{
		"cms.timeout": "--cms.timeout", "kafka.sasl.mechanism": "BALANCEQ_KAFKA_SASL_MECHANISM",
		"kafka.sasl.username":      "BALANCEQ_KAFKA_SASL_USERNAME",
		"kafka.sasl.password-file": "BALANCEQ_KAFKA_SASL_PASSWORD_FILE",
		"kafka.sasl.password":      "kafka.sasl.password-file",
	}
	if got := loaded.Given(); !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if origin := loaded.Origin(windowKey); origin != "cms.timeout" {
		t.Errorf("the window is from %s: the test does not test anything", origin)
	}
}
