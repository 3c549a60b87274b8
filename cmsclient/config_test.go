package cmsclient

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaultsNeedOnlyTheURL(t *testing.T) {
	if err := testConfig("https://sandbox.api.mastercard.com/global-processing/core").Validate(); err != nil {
		t.Error(err)
	}
	err := DefaultConfig().Validate()
	if err == nil || !strings.HasPrefix(err.Error(), "URL: is not set; ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a URL: %v", err)
	}
}

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		breakIt func(*Config)
		field   string
		with    string
	}{
		"is not a URL":                   {func(c *Config) { c.URL = "https://secret:x y@%" }, "URL", ""},
		"does not start with":            {func(c *Config) { c.URL = "ftp://secret/" }, "URL", ""},
		"names no host":                  {func(c *Config) { c.URL = "https:///secret" }, "URL", ""},
		"contains a user or password":    {func(c *Config) { c.URL = "https://user:secret@host/" }, "URL", ""},
		"contains a query":               {func(c *Config) { c.URL = "https://host/?secret" }, "URL", ""},
		"contains a fragment":            {func(c *Config) { c.URL = "https://host/#secret" }, "URL", ""},
		"has a port above":               {func(c *Config) { c.URL = "https://host:65536/secret" }, "URL", ""},
		"ends its host with a colon":     {func(c *Config) { c.URL = "https://host:/secret" }, "URL", ""},
		"0 is too little":                {func(c *Config) { c.MaxInFlight = 0 }, "MaxInFlight", ""},
		"65537 is too much":              {func(c *Config) { c.MaxInFlight = 65537 }, "MaxInFlight", ""},
		"257 is above MaxInFlight (256)": {func(c *Config) { c.MinInFlight = 257 }, "MinInFlight", "MaxInFlight"},
		"0s is too little":               {func(c *Config) { c.Timeout = 0 }, "Timeout", ""},
		"5s is not below Timeout (5s)":   {func(c *Config) { c.HedgeAfter = 5 * time.Second }, "HedgeAfter", "Timeout"},
		"6s is not below Timeout (5s)": {func(c *Config) { c.Breaker.SlowCall = 6 * time.Second }, "Breaker.SlowCall",
			"Timeout"},
		"1023 is too little":             {func(c *Config) { c.MaxResponseBytes = 1023 }, "MaxResponseBytes", ""},
		"-1 is out of range":             {func(c *Config) { c.Rate = -1 }, "Rate", ""},
		"11 is out of range":             {func(c *Config) { c.RetryShare = 11 }, "RetryShare", ""},
		"10s is less than twice Timeout": {func(c *Config) { c.Timeout = 16 * time.Second }, "Breaker.Window", "Timeout"},
		"-1ns is too little":             {func(c *Config) { c.Breaker.OpenTime = -1 }, "Breaker.OpenTime", ""},
		"3s is above Breaker.MaxOpenTime (2s)": {
			func(c *Config) { c.Breaker.OpenTime, c.Breaker.MaxOpenTime = 3*time.Second, 2*time.Second },
			"Breaker.OpenTime", "Breaker.MaxOpenTime"},
		"0 is too little; set at least 1": {func(c *Config) { c.Breaker.MinCalls = 0 }, "Breaker.MinCalls", ""},
		"1.1 is out of range":             {func(c *Config) { c.Breaker.FailureRatio = 1.1 }, "Breaker.FailureRatio", ""},
		"999µs is too little":             {func(c *Config) { c.CoolDown = 999 * time.Microsecond }, "CoolDown", ""},
		"1s is above MaxCoolDown (1ms)":   {func(c *Config) { c.MaxCoolDown = time.Millisecond }, "CoolDown", "MaxCoolDown"},
		"1h0m1s is too much": {func(c *Config) { c.ProbeInterval = time.Hour + time.Second }, "ProbeInterval",
			""},
		"is no header's value": {func(c *Config) { c.UserAgent = "a\r\nb" }, "UserAgent", ""},
	}
	for want, test := range cases {
		cfg := testConfig("https://host/path")
		test.breakIt(&cfg)
		err := cfg.Validate()
		found, ok := errors.AsType[*FieldError](err)
		if !ok || !strings.HasPrefix(err.Error(), test.field+": "+want) || strings.Contains(err.Error(), "secret") ||
			found.Field != test.field || strings.Join(found.With, " ") != test.with || found.Fix == "" {
			t.Errorf("want %s: %q, repeating no address: %v", test.field, want, err)
		}
		if _, newErr := New(cfg, nil); newErr == nil {
			t.Errorf("%s: New accepts it", want)
		}
	}
}

func TestValidateJoinsAll(t *testing.T) {
	err := Config{}.Validate()
	for _, field := range []string{"URL", "Timeout", "MaxInFlight", "Breaker.MinCalls", "UserAgent"} {
		if !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not in %v", field, err)
		}
	}
	// Of a pair with a field that is wrong by itself nothing is said.
	if text := err.Error(); strings.Contains(text, "is above") || strings.Contains(text, "twice") {
		t.Error(text)
	}
}

// The texts call other fields what the caller calls them; the parts keep their names.
func TestCheckNamesFieldsAsTheCaller(t *testing.T) {
	s := DefaultSettings()
	s.URL, s.CoolDown = "https://host", time.Hour
	found := s.Check(func(field string) string { return "cms/" + field })
	if len(found) != 1 || found[0].Field != "CoolDown" || !slices.Equal(found[0].With, []string{"MaxCoolDown"}) ||
		found[0].What != "1h is above cms/MaxCoolDown (1m)" {
		t.Errorf("found %v", found)
	}
}

func TestProxyAt(t *testing.T) {
	for address, want := range map[string]string{
		"http://proxy:3128":           "",
		"https://[::1]:3128/":         "",
		"socks5://proxy:1080":         "does not start with",
		"http://proxy":                "names no port",
		"http://proxy:3128/cms":       "contains a path",
		"http://u:secret@proxy:3128":  "contains a user",
		"http://u:secret%zz@proxy:31": "is not a URL",
	} {
		proxy, err := ProxyAt(address)
		if got := fmt.Sprint(err); (proxy == nil) == (want == "") ||
			want != "" && (!strings.HasPrefix(got, "Proxy: "+want) || strings.Contains(got, "secret")) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
