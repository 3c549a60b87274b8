package config

import (
	"slices"
	"strings"
	"testing"
)

// What acts is for those who are on this machine, or can show a token or a certificate; all else is refused, with the
// fix.
func TestAdminIsOutOfReach(t *testing.T) {
	const (
		cert  = "--http.admin-tls.cert-file=c"
		key   = "--http.admin-tls.key-file=k"
		ca    = "--http.admin-tls.client-ca-file=a"
		token = "--http.admin-token-file=t"

		open = "; set http.admin-token-file or http.admin-tls.client-ca-file, or listen on this machine only, " +
			"for example 127.0.0.1:8081"
	)
	for name, test := range map[string]struct {
		args    []string
		problem string // "": none
		warning string
	}{
		"default":             {nil, "", ""},
		"off":                 {[]string{"--http.admin=off"}, "", ""},
		"IPv6":                {[]string{"--http.admin=[::1]:8081"}, "", ""},
		"localhost":           {[]string{"--http.admin=localhost:8081"}, "", ""},
		"a loopback":          {[]string{"--http.admin=127.0.0.9:8081"}, "", ""},
		"everywhere":          {[]string{"--http.admin=:8081"}, open, ""},
		"every IPv4":          {[]string{"--http.admin=0.0.0.0:8081"}, open, ""},
		"a name":              {[]string{"--http.admin=balanceq-0:8081"}, open, ""},
		"TLS alone":           {[]string{"--http.admin=:8081", cert, key}, open, ""},
		"token":               {[]string{"--http.admin=:8081", token}, "", "the token travels unencrypted"},
		"token and TLS":       {[]string{"--http.admin=:8081", token, cert, key}, "", ""},
		"client certificates": {[]string{"--http.admin=:8081", ca, cert, key}, "", ""},
		"no certificate":      {[]string{"--http.admin=:8081", ca}, "set http.admin-tls.cert-file too", ""},
		"no key":              {[]string{token, cert}, "set http.admin-tls.key-file too", ""},
		"one port":            {[]string{"--http.admin=127.0.0.1:8080"}, "is http.listen too; give each its own port", ""},
		"one port of all":     {[]string{"--http.listen=0.0.0.0:8081"}, "is http.listen too; give each its own port", ""},
		"one port, two hosts": {[]string{"--http.listen=127.0.0.2:8081"}, "", ""},
		"any port":            {[]string{"--http.listen=127.0.0.1:0", "--http.admin=127.0.0.1:0"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			loaded, err := Load(parse(t, test.args...), nil)
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v, want one problem: %q", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			warned := slices.ContainsFunc(lines(loaded.Warnings), func(line string) bool {
				return test.warning != "" && strings.Contains(line, test.warning)
			})
			if warned != (test.warning != "") || len(loaded.Warnings) > 1 {
				t.Errorf("%q, want %q", lines(loaded.Warnings), test.warning)
			}
		})
	}
}
