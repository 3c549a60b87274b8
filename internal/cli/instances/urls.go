package instances

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/balanceq/balanceq/internal/cli/term"
)

// Listener is where the configuration says that this machine's own instance listens.
type Listener struct {
	Key     string // "http.listen"
	Address string // host:port; "": off
	TLS     bool
}

// URLs returns the base URLs of the instances that --service names; without the flag, that of own, as seen from this
// machine. It is nil where there is nothing to ask. The errors name the flag and the fix.
func URLs(flag []string, own Listener) ([]string, error) {
	if len(flag) == 0 {
		if own.Address == "" {
			return nil, nil
		}
		host, port, err := net.SplitHostPort(own.Address)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not host:port; name the instances with --service", own.Key,
				term.Shorten(own.Address))
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		scheme := "http://"
		if own.TLS {
			scheme = "https://"
		}
		return []string{scheme + net.JoinHostPort(host, port)}, nil
	}
	urls := make([]string, 0, len(flag))
	for _, text := range flag {
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		u, err := url.Parse(text)
		// What it holds is not repeated: it may be a password.
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New(
				"--service: not the address of an instance; write http://host:port, the host and port of its " + own.Key)
		}
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("--service: write http://host:port, without user, query or fragment")
		}
		urls = append(urls, strings.TrimRight(u.String(), "/"))
	}
	return urls, nil
}

// All returns the instances at these URLs: where a host's name has several addresses, as a headless service of
// Kubernetes has, the instance at each. A name that is not known stays: asking it says so.
func All(ctx context.Context, urls []string, access Access) []Instance {
	var all []Instance
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil { // cannot be: URLs has parsed it
			continue
		}
		addresses := lookup(ctx, u.Hostname())
		if len(addresses) < 2 {
			all = append(all, At(text, access))
			continue
		}
		own := access
		if u.Scheme == "https" { // the certificate is the name's
			own.TLS = new(tls.Config)
			if access.TLS != nil {
				own.TLS = access.TLS.Clone()
			}
			own.TLS.ServerName = u.Hostname()
		}
		for _, address := range addresses {
			one := *u
			if one.Host = address; strings.Contains(address, ":") {
				one.Host = "[" + address + "]"
			}
			if port := u.Port(); port != "" {
				one.Host = net.JoinHostPort(address, port)
			}
			all = append(all, At(one.String(), own))
		}
	}
	return all
}

// lookup returns the addresses of a name, those of one version of IP only: a host that has both is one instance.
func lookup(ctx context.Context, host string) (addresses []string) {
	if host == "localhost" {
		return nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	var v6 []string
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			addresses = append(addresses, ip.String())
		} else {
			v6 = append(v6, ip.String())
		}
	}
	if len(addresses) == 0 {
		addresses = v6
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}
