package config

import "net/netip"

// httpPairs wants what acts to be out of the reach of those who may not.
func (c *Config) httpPairs() (problems []problem) {
	report := func(what, fix string, names ...string) { problems = append(problems, wrong(what, fix, names...)) }

	h := c.HTTP
	if h.Admin != "" {
		if host, _, ok := splitHostPort(h.Admin); ok && !isLoopback(host) && h.AdminTokenFile == "" &&
			h.AdminTLS.ClientCAFile == "" {
			report("other machines can reach "+h.Admin+", and anybody there could resume and read memory",
				"set http.admin-token-file or http.admin-tls.client-ca-file, or listen on this machine only, "+
					"for example 127.0.0.1:8081",
				"http.admin", "http.admin-token-file", "http.admin-tls.client-ca-file")
		}
		if sameAddress(h.Listen, h.Admin) {
			report("is http.listen too", "give each its own port", "http.admin", "http.listen")
		}
	}
	if h.AdminTLS.ClientCAFile != "" && h.AdminTLS.CertFile == "" {
		report("clients show a certificate only to a server that has one", "set http.admin-tls.cert-file too",
			"http.admin-tls.client-ca-file", "http.admin-tls.cert-file")
	}
	files := TLSFiles{CertFile: h.AdminTLS.CertFile, KeyFile: h.AdminTLS.KeyFile}
	return append(problems, files.pairs("http.admin-tls")...)
}

// sameAddress says whether only one of two could be listened on.
func sameAddress(a, b string) bool {
	host, port, ok := splitHostPort(a)
	other, same, also := splitHostPort(b)
	return ok && also && port != 0 && port == same && (host == other || isEverywhere(host) || isEverywhere(other))
}

func isEverywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func (c *Config) httpWarnings() (warnings []problem) {
	h := c.HTTP
	host, _, ok := splitHostPort(h.Admin)
	if ok && !isLoopback(host) && h.AdminTLS.CertFile == "" {
		warnings = append(warnings, odd("the token travels unencrypted", "set http.admin-tls.cert-file and key-file",
			"http.admin-token-file", "http.admin", "http.admin-tls.cert-file"))
	}
	return warnings
}
