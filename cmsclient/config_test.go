package cmsclient

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultsNeedOnlyTheURL(t *testing.T) {
	if err := testConfig("https://sandbox.api.mastercard.com/global-processing/core").Validate(); err != nil {
		t.Error(err)
	}
	err := DefaultConfig().Validate()
	if err == nil || !strings.HasPrefix(err.Error(), "cms.url is not set: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a URL: %v", err)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	cases := map[string]func(*Config){
		"cms.url is not a URL":         func(c *Config) { c.URL = "https://secret:x y@%" },
		"cms.url must start with":      func(c *Config) { c.URL = "ftp://secret/" },
		"cms.url has no host":          func(c *Config) { c.URL = "https:///secret" },
		"cms.url must not hold a user": func(c *Config) { c.URL = "https://user:secret@host/" },
		"cms.url must not have":        func(c *Config) { c.URL = "https://host/?secret" },
		"cms.max-in-flight":            func(c *Config) { c.MaxInFlight = 0 },
		"cms.timeout":                  func(c *Config) { c.Timeout = 0 },
		"cms.max-response-bytes":       func(c *Config) { c.MaxResponseBytes = 0 },
		"cms.breaker.window":           func(c *Config) { c.Timeout = 16 * time.Second },
		"cms.breaker.open-time":        func(c *Config) { c.Breaker.OpenTime = 0 },
		"cms.breaker.min-calls":        func(c *Config) { c.Breaker.MinCalls = 0 },
		"cms.breaker.failure-ratio":    func(c *Config) { c.Breaker.FailureRatio = 1.1 },
		"cms.cool-down":                func(c *Config) { c.CoolDown = 0 },
		"cms.max-cool-down":            func(c *Config) { c.MaxCoolDown = 1 },
		"cms.probe-interval":           func(c *Config) { c.ProbeInterval = -1 },
		"cms.user-agent":               func(c *Config) { c.UserAgent = "a\r\nb" },
	}
	for want, breakIt := range cases {
		cfg := testConfig("https://host/path")
		breakIt(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("want an error that begins with %q and repeats no address: %v", want, err)
		}
		if _, newErr := New(cfg, nil); newErr == nil {
			t.Errorf("%s: New accepts it", want)
		}
	}
}

func TestValidateJoinsAll(t *testing.T) {
	err := Config{}.Validate()
	for _, key := range []string{"cms.url", "cms.timeout", "cms.max-in-flight", "cms.breaker.min-calls", "cms.user-agent"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not in %v", key, err)
		}
	}
}
