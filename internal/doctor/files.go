package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
)

func checkAuthorities(cfg config.Config) []finding.Finding {
	const name = "cms.tls.ca-file"
	if cfg.CMS.TLS.CAFile == "" {
		return ok("not used: " + name + " is not set")
	}
	return checkCA(name, cfg.CMS.TLS.CAFile)
}

func checkClientCertificate(cfg config.Config) []finding.Finding {
	if cfg.CMS.TLS.CertFile == "" {
		return ok("not used: cms.tls.cert-file is not set")
	}
	return checkPair("cms.tls", cfg.CMS.TLS.CertFile, cfg.CMS.TLS.KeyFile)
}

// checkKafkaFiles looks at what connections to Kafka read.
func checkKafkaFiles(cfg config.Config) (found []finding.Finding) {
	if files := cfg.Kafka.TLS; files.Enabled {
		if files.CAFile != "" {
			found = append(found, checkCA("kafka.tls.ca-file", files.CAFile)...)
		}
		if files.CertFile != "" {
			found = append(found, checkPair("kafka.tls", files.CertFile, files.KeyFile)...)
		}
	}
	if oauth := cfg.Kafka.SASL.OAuth; cfg.Kafka.SASL.Mechanism == config.SASLOAuthBearer {
		if oauth.CAFile != "" {
			found = append(found, checkCA("kafka.sasl.oauth.ca-file", oauth.CAFile)...)
		}
		if oauth.TokenFile != "" {
			found = append(found, checkToken("kafka.sasl.oauth.token-file", oauth.TokenFile)...)
		}
	}
	for _, f := range found {
		if f.Severity == finding.Fail {
			return found
		}
	}
	if _, err := connect.Kafka(cfg); err != nil {
		return append(found, failed(err, "correct kafka.tls and kafka.sasl")...)
	}
	if len(found) == 0 {
		return ok("not used: kafka.tls and kafka.sasl name none")
	}
	return found
}

// checkRegistryFiles looks at what calls to schema registries read.
func checkRegistryFiles(cfg config.Config) (found []finding.Finding) {
	if _, err := connect.Registry(cfg.Registry, []string{"http://localhost"}, "doctor"); err != nil {
		return failed(err, "correct schema-registry")
	}
	if r := cfg.Registry; r.TokenFile != "" {
		found = checkToken("schema-registry.token-file", r.TokenFile)
	}
	if r := cfg.Registry; r.CAFile != "" {
		found = append(found, checkCA("schema-registry.ca-file", r.CAFile)...)
	}
	if r := cfg.Registry; r.CertFile != "" {
		found = append(found, checkPair("schema-registry", r.CertFile, r.KeyFile)...)
	}
	if len(found) == 0 {
		return ok("not used: schema-registry names none but for a password")
	}
	return found
}

// checkAdminAccess looks at what http.admin asks its clients by.
func checkAdminAccess(cfg config.Config) []finding.Finding {
	h := cfg.HTTP
	switch {
	case h.Admin == "":
		return ok("not used: http.admin is off")
	case h.AdminTokenFile == "" && h.AdminTLS.CertFile == "":
		return ok("not used: http.admin has neither token nor certificate")
	}
	access, err := new(connect.Credentials).Admin(h)
	if err != nil {
		return failed(err, "correct http.admin-token-file and http.admin-tls")
	}
	var found []finding.Finding
	if access.Token != nil {
		found = append(found, ok(filepath.Base(h.AdminTokenFile)+": a token")...)
	}
	if h.AdminTLS.CertFile != "" {
		found = append(found, checkPair("http.admin-tls", h.AdminTLS.CertFile, h.AdminTLS.KeyFile)...)
	}
	if h.AdminTLS.ClientCAFile != "" {
		found = append(found, checkCA("http.admin-tls.client-ca-file", h.AdminTLS.ClientCAFile)...)
	}
	return found
}

// checkCA looks at a file of authorities: it is good until the last of them is over.
func checkCA(name, path string) []finding.Finding {
	text, err := os.ReadFile(path)
	if err != nil {
		return []finding.Finding{unreadable(name, err)}
	}
	var last *x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (last == nil || one.NotAfter.After(last.NotAfter)) {
			last = one
		}
	}
	if last == nil {
		return []finding.Finding{{Key: name, What: filepath.Base(path) + " holds no PEM certificate",
			Fix: "give the authority's", Severity: finding.Fail}}
	}
	return keyed(name, checkExpiry(filepath.Base(path)+": "+certificateName(last), last.NotAfter,
		"get the authority's new certificate, and set "+name+" to its file"))
}

// checkPair looks at a certificate and its key; section is where they are named.
func checkPair(section, cert, key string) []finding.Finding {
	for _, f := range []struct{ name, path string }{{section + ".cert-file", cert}, {section + ".key-file", key}} {
		if _, err := os.ReadFile(f.path); err != nil {
			return []finding.Finding{unreadable(f.name, err)}
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fail(fmt.Sprintf("%[1]s.cert-file and %[1]s.key-file: %[2]v", section, err),
			fmt.Sprintf("set %[1]s.cert-file and %[1]s.key-file to the PEM files of one certificate and its key", section))
	}
	return keyed(section+".cert-file", checkExpiry(certificateName(pair.Leaf), pair.Leaf.NotAfter,
		"get a new certificate, and set "+section+".cert-file to its file"))
}

// checkToken looks at a token that another program keeps up to date. Only of a JWT it is known when it is over
// (RFC 7519, section 4.1.4): one that is fails here, and no other, as they live for minutes.
func checkToken(name, path string) []finding.Finding {
	text, err := os.ReadFile(path)
	if err != nil {
		return []finding.Finding{unreadable(name, err)}
	}
	what := filepath.Base(path) + ": a token"
	parts := strings.Split(strings.TrimSpace(string(text)), ".")
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if len(parts) == 3 {
		if body, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(body, &claims) == nil &&
			claims.Exp > 0 {
			end := time.Unix(int64(claims.Exp), 0)
			if text, left := expiry(time.Now(), end); left <= 0 {
				return []finding.Finding{{Key: name, What: what + " that " + text, Severity: finding.Fail,
					Fix: "see why what writes the file has not written a new one"}}
			}
			what += ", good until " + end.UTC().Format(time.RFC3339)
		}
	}
	return ok(what)
}

// keyed names the key of what is wrong.
func keyed(key string, f finding.Finding) []finding.Finding {
	if f.Severity != finding.OK {
		f.Key = key
	}
	return []finding.Finding{f}
}
