package cmsclient

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	exampleBase  = "https://sandbox.api.mastercard.com/global-processing/core"
	exampleProxy = "http://proxy.example.com:3128"
)

// parseBase parses the base address of the CMS.
func parseBase(address string) (*url.URL, *FieldError) {
	if address == "" {
		return nil, &FieldError{Field: "URL", What: "is not set", Fix: "set the CMS's base URL, for example " + exampleBase}
	}
	u, what, fix := parseAddress(address, exampleBase)
	if what == "" && u.User != nil {
		what, fix = hasUser, "remove everything up to the @"
	}
	if what != "" {
		return nil, &FieldError{Field: "URL", What: what, Fix: fix}
	}
	return u, nil
}

// ProxyAt returns the Proxy that sends all calls through the one at address: http or https, with a port. Its error is a
// *FieldError.
func ProxyAt(address string) (Proxy, error) {
	u, what, fix := parseAddress(address, exampleProxy)
	switch {
	case what != "":
	case u.User != nil:
		what, fix = hasUser, "for a proxy with a password set the variable HTTPS_PROXY, and let the environment choose"
	case u.Port() == "" || u.Port() == "0":
		what, fix = "names no port", "write for example "+exampleProxy
	case u.Path != "" && u.Path != "/":
		what, fix = "contains a path", "remove what follows the port"
	}
	if what != "" {
		return nil, &FieldError{Field: "Proxy", What: what, Fix: fix}
	}
	return http.ProxyURL(u), nil
}

const hasUser = "contains a user or password"

// parseAddress takes an absolute http or https address without query and fragment. What it says of another never
// repeats the address, which may hold a password.
func parseAddress(address, example string) (u *url.URL, what, fix string) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, "is not a URL", "write for example " + example
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "does not start with https:// or http://", "write the whole address"
	case u.Hostname() == "":
		return nil, "names no host", "write for example " + example
	case u.RawQuery != "" || u.ForceQuery:
		return nil, "contains a query", "remove the ? and what follows"
	case strings.Contains(address, "#"):
		return nil, "contains a fragment", "remove the # and what follows"
	case u.Port() == "" && strings.HasSuffix(u.Host, ":"):
		return nil, "ends its host with a colon", "write the port or remove the colon"
	}
	if _, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && err != nil {
		return nil, "has a port above 65535", "correct it"
	}
	return u, "", ""
}
