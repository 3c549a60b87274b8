package config

import (
	"fmt"
	"net/url"
	"slices"
)

// checkRegistryURLs wants addresses that a password may be sent to, each once.
func checkRegistryURLs(all []string) *fault {
	const fix = "write it as https://host/path, with the path of Confluent's API"
	for i, s := range all {
		which := ""
		if len(all) > 1 {
			which = fmt.Sprintf("address %d ", i+1)
		}
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			return &fault{which + "is no http or https URL", fix} // not quoted: it may hold a password
		case u.User != nil:
			return &fault{which + "contains a user or password",
				"remove it and use schema-registry.username and schema-registry.password-file"}
		case u.RawQuery != "" || u.Fragment != "":
			return &fault{which + "has something behind its path", fix}
		case slices.Contains(all[:i], s):
			return &fault{which + "is there twice", "remove one of them"}
		}
	}
	return nil
}

// registryPairs: who asks is a user with a password, or a token, and not both; with or without a certificate.
func (c *Config) registryPairs() (problems []problem) {
	report := func(what, fix string, names ...string) { problems = append(problems, wrong(what, fix, names...)) }
	if !c.AsksRegistry() {
		return nil
	}
	const user, token = "schema-registry.username", "schema-registry.token-file"
	r, k := c.Registry, lookup("schema-registry.password")
	switch hasPassword := r.Password.IsSet() || r.PasswordFile != ""; {
	case r.TokenFile != "" && (r.Username != "" || hasPassword):
		report("is given, and so is a user or password", "unset one of them", token, user, k.name, k.name+"-file")
	case r.Username != "" && !hasPassword:
		report("needs a password", fmt.Sprintf("set %s or %s-file", k.env(), k.name), user, k.name, k.name+"-file")
	case r.Username == "" && hasPassword:
		report("the password's user is missing", "set "+user, user, k.name, k.name+"-file")
	}
	return append(problems, r.pairs("schema-registry")...)
}

func (c *Config) registryWarnings() (warnings []problem) {
	r := c.Registry
	known := r.Username != "" || r.TokenFile != ""
	for name, addresses := range map[string][]string{
		"requests.registry.url": c.Requests.Registry.URLs, "results.registry.url": c.Results.Registry.URLs,
	} {
		if known && slices.ContainsFunc(addresses, isOpen) {
			warnings = append(warnings, odd("over http anybody on the way can read the password or token", "use https", name))
		}
	}
	if (known || r.CertFile != "") && !c.AsksRegistry() {
		warnings = append(warnings, odd("no schema registry is asked, so its login has no effect",
			"set requests.registry.url or results.registry.url", "schema-registry.username", "schema-registry.token-file",
			"schema-registry.cert-file"))
	}
	for name, lacks := range map[string]bool{
		"results.registry.subject":       len(c.Results.Registry.URLs) == 0 && c.Results.Registry.Subject != "",
		"results.registry.auto-register": len(c.Results.Registry.URLs) == 0 && c.Results.Registry.AutoRegister,
	} {
		if lacks {
			warnings = append(warnings, odd("has no effect without results.registry.url", "set that too", name,
				"results.registry.url"))
		}
	}
	if len(c.Requests.Registry.URLs) == 0 && len(c.Requests.Registry.Subjects) > 0 {
		warnings = append(warnings, odd("has no effect without requests.registry.url", "set that too",
			"requests.registry.subjects", "requests.registry.url"))
	}
	return warnings
}

// isOpen says that who is between us and this address can read what is sent.
func isOpen(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "http" && !isLoopback(u.Hostname())
}
