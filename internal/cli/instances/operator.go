package instances

import (
	"os"
	"os/user"
	"strings"

	"github.com/balanceq/balanceq/schemas"
)

// Operator is who gives an order, for logs: user@host, in printable ASCII.
func Operator() string {
	name := os.Getenv("USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return cleanOperator(name, host)
}

func cleanOperator(name, host string) string {
	clean := func(text, otherwise string) string {
		text = strings.Map(func(c rune) rune {
			if c <= ' ' || c > '~' {
				return '_'
			}
			return c
		}, schemas.Mask(text))
		if text == "" {
			return otherwise
		}
		return text[:min(len(text), 60)]
	}
	return clean(name, "unknown") + "@" + clean(host, "unknown")
}
