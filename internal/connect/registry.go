package connect

import (
	"net/http"

	"github.com/balanceq/balanceq/cmsclient/keys"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/registry"
)

// Registry makes a client of the schema registry at these addresses. Its errors are *finding.Error.
func Registry(cfg config.Registry, urls []string, version string) (*registry.Client, error) {
	return (&Credentials{}).Registry(cfg, urls, version)
}

// Registry is the same for who looks after the files from then on.
func (c *Credentials) Registry(cfg config.Registry, urls []string, version string) (*registry.Client, error) {
	to := registry.Config{URLs: urls, UserAgent: "balanceq/" + version}
	var err error
	if to.Authorize, err = c.authorizeRegistry(cfg); err != nil {
		return nil, inParts(err)
	}
	if to.TLS, err = c.tlsFiles("schema-registry", "registry", cfg.TLSFiles); err != nil {
		return nil, inParts(err)
	}
	return registry.New(to)
}

// authorizeRegistry returns what has a call say who makes it, by the files as they are then; nil: nothing does.
func (c *Credentials) authorizeRegistry(cfg config.Registry) (func(*http.Request), error) {
	switch {
	case cfg.TokenFile != "":
		file, err := keys.Open("schema-registry.token-file", []string{cfg.TokenFile}, readToken)
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, &credential{name: "registry-token", file: file, expires: never})
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+file.Latest()) }, nil
	case cfg.Username != "":
		password, err := c.secret("registry-password", "schema-registry.password-file", cfg.Password, cfg.PasswordFile)
		if err != nil {
			return nil, err
		}
		return func(r *http.Request) { r.SetBasicAuth(cfg.Username, password()) }, nil
	}
	return nil, nil //nolint:nilnil // both are answers: nothing proves who asks, and no error
}
