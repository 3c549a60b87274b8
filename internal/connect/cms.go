package connect

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/cmsclient/keys"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

// CMS turns the configuration into settings of the CMS client, and reads the keys and certificates. The error joins
// everything that is wrong with those; each is a *finding.Error.
func CMS(cfg config.Config, version string) (cmsclient.Config, *Credentials, error) {
	from := cfg.CMS
	c := cmsclient.Config{Settings: from.Settings, FieldName: config.FieldName}
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
	for i, err := range failed {
		failed[i] = inParts(err)
	}
	return c, credentials, errors.Join(failed[:]...)
}

// inParts makes findings of what the libraries find wrong with files and settings.
func inParts(err error) error {
	f := finding.Finding{Severity: finding.Fail}
	if file, ok := errors.AsType[*keys.FileError](err); ok {
		f.Key, f.What, f.Fix = file.Name, file.Files+": "+file.Problem(), file.Fix
	} else if field, ok := errors.AsType[*cmsclient.FieldError](err); ok {
		f.Key, f.What, f.Fix = config.FieldName(field.Field), field.What, field.Fix
	} else {
		return err
	}
	return &finding.Error{Findings: []finding.Finding{f}, Err: err}
}

// proxy returns the choice of the proxy.
func proxy(setting string) (cmsclient.Proxy, error) {
	switch setting {
	case config.ProxyEnvironment:
		return http.ProxyFromEnvironment, nil
	case config.ProxyOff:
		return func(*http.Request) (*url.URL, error) { return nil, nil }, nil //nolint:nilnil // no proxy
	}
	return cmsclient.ProxyAt(setting)
}
