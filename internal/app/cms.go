package app

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/config"
)

// CMS turns the configuration into settings of the CMS client, and reads the keys and certificates. The error joins
// everything that is wrong with those; each names its setting and the fix.
func CMS(cfg config.Config, version string) (cmsclient.Config, *Credentials, error) {
	from := cfg.CMS
	c := cmsclient.DefaultConfig()
	c.URL = from.URL
	c.MinInFlight, c.MaxInFlight, c.Adaptive = from.MinInFlight, from.MaxInFlight, from.Adaptive
	c.SlowStart = from.SlowStart
	c.Rate, c.DailyQuota = from.Rate, from.DailyQuota
	c.RetryShare, c.HedgeAfter = from.RetryShare, from.HedgeAfter
	c.Timeout = from.Timeout
	c.MaxResponseBytes = from.MaxResponseBytes
	c.Breaker = cmsclient.BreakerSettings{
		Window: from.Breaker.Window, MinCalls: from.Breaker.MinCalls, FailureRatio: from.Breaker.FailureRatio,
		SlowCall: from.Breaker.SlowCall, SlowRatio: from.Breaker.SlowRatio,
		OpenTime: from.Breaker.OpenTime, MaxOpenTime: from.Breaker.MaxOpenTime,
	}
	c.CoolDown, c.MaxCoolDown = from.CoolDown, from.MaxCoolDown
	c.ProbeInterval = from.ProbeInterval
	c.UserAgent = "balanceq/" + version

	credentials := &Credentials{}
	var failed [4]error
	if auth, err := credentials.authenticator(from.Auth); err != nil {
		failed[0] = err
	} else {
		c.Auth = auth
	}
	if decrypter, err := credentials.decrypter(from.Decryption); err != nil {
		failed[1] = err
	} else {
		c.Decrypter = decrypter
	}
	c.TLS, failed[2] = credentials.tlsConfig(from.TLS)
	c.Proxy, failed[3] = proxy(from.Proxy)
	return c, credentials, errors.Join(failed[:]...)
}

// proxy returns the choice of the proxy.
func proxy(setting string) (cmsclient.Proxy, error) {
	switch setting {
	case config.ProxyEnvironment:
		return http.ProxyFromEnvironment, nil
	case config.ProxyOff:
		return func(*http.Request) (*url.URL, error) { return nil, nil }, nil //nolint:nilnil // no proxy
	}
	u, err := url.Parse(setting)
	if err != nil {
		return nil, errors.New("cms.proxy is not a URL: write http://host:port, environment or off")
	}
	return http.ProxyURL(u), nil
}
