package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/balanceq/balanceq/cmsclient/keys"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
)

// checkSigningKey leaves the consumer key's form to the configuration's warnings.
func checkSigningKey(cfg config.Config) []finding.Finding {
	auth := cfg.CMS.Auth
	if auth.Method == config.AuthNone {
		return ok("not used: cms.auth.method is none")
	}
	found, _ := checkKeyFile("cms.auth", "cms.auth.key-file", auth.KeyFile, auth.KeyPassword, auth.KeyExpires)
	return []finding.Finding{found}
}

func checkDecryptionKeys(cfg config.Config) []finding.Finding {
	d := cfg.CMS.Decryption
	if len(d.KeyFiles) == 0 {
		return ok("not used: cms.decryption.key-files is empty")
	}
	const name = "cms.decryption.key-files"
	var findings []finding.Finding
	var expired []int // of the findings
	for i, file := range d.KeyFiles {
		found, end := checkKeyFile("cms.decryption", name, file, d.KeyPassword, d.KeyExpires)
		findings = append(findings, found)
		if found.Severity == finding.Fail && !end.IsZero() {
			expired = append(expired, i)
		}
	}
	if len(expired) < len(findings) { // while a key is being exchanged, the old one may expire
		for _, i := range expired {
			findings[i].Severity, findings[i].Fix = finding.Warn, "remove it from "+name+
				" once nothing is encrypted with it any more"
		}
	}
	return findings
}

// checkKeyFile looks at one private key and returns when it expires, as far as known: zero also where it cannot be
// read. The section of the configuration is where its password and expiry stand.
func checkKeyFile(section, name, file string, password config.Secret, expires time.Time) (finding.Finding, time.Time) {
	data, err := os.ReadFile(file)
	if err != nil {
		return unreadable(name, err), time.Time{}
	}
	key, err := keys.Parse(data, password.Reveal())
	if err != nil {
		f := finding.Finding{What: filepath.Base(file) + ": " + err.Error(), Severity: finding.Fail}
		if wrong, ok := errors.AsType[*keys.FileError](err); ok {
			f.What = filepath.Base(file) + ": " + wrong.Problem()
			f.Fix = fmt.Sprintf("%s (%s, %s.key-password)", wrong.Fix, name, section)
		}
		return f, time.Time{}
	}
	detail := fmt.Sprintf("%s: RSA %d, ", filepath.Base(file), key.Private.N.BitLen())
	switch {
	case key.Certificate != nil:
		detail, expires = detail+"certificate", key.Certificate.NotAfter
	case !expires.IsZero():
		detail += "key"
	default:
		return finding.Finding{Severity: finding.Warn, What: detail +
			"it is not known when it expires: its file holds no certificate",
			Fix: fmt.Sprintf("set %s.key-expires to the date that the project's page shows", section)}, expires
	}
	return checkExpiry(detail, expires, fmt.Sprintf("create a new key in the project, and set %s to its file", name)),
		expires
}

// unreadable is the finding about a file that cannot be read. The error names the file.
func unreadable(name string, err error) finding.Finding {
	fix := "set " + name + " to a file that exists"
	if errors.Is(err, os.ErrPermission) {
		fix = "let this user read the file of " + name
	}
	return finding.Finding{Key: name, What: err.Error(), Fix: fix, Severity: finding.Fail}
}

// checkExpiry looks at the end of what is described: "RSA 2048, certificate" becomes
// "RSA 2048, certificate expires 2027-05-01 (in 160 days)".
func checkExpiry(what string, end time.Time, fix string) finding.Finding {
	text, left := expiry(time.Now(), end)
	f := finding.Finding{What: what + " " + text}
	switch {
	case left <= 0:
		f.Severity, f.Fix = finding.Fail, fix
	case left <= connect.ExpiryWarning:
		f.Severity, f.Fix = finding.Warn, fix
	}
	return f
}

// expiry says when something ends or ended, seen from now.
func expiry(now, end time.Time) (text string, left time.Duration) {
	left = end.Sub(now)
	date := end.UTC().Format(time.DateOnly)
	days := func(d time.Duration) string {
		switch n := int(d / (24 * time.Hour)); n {
		case 0:
			return "less than a day"
		case 1:
			return "1 day"
		default:
			return fmt.Sprintf("%d days", n)
		}
	}
	if left <= 0 {
		return fmt.Sprintf("expired %s (%s ago)", date, days(-left)), left
	}
	return fmt.Sprintf("expires %s (in %s)", date, days(left)), left
}

// certificateName is what a certificate is known by: the subject's common name, else its first DNS name.
func certificateName(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return fmt.Sprintf("%q", c.Subject.CommonName)
	case len(c.DNSNames) > 0:
		return fmt.Sprintf("%q", c.DNSNames[0])
	}
	return "a certificate without a name"
}
