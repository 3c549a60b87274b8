package telemetry

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are the names by which an instance may be asked, besides its IP addresses and localhost.
type Hosts struct {
	Names   []string // of hosts, without ports; one that begins with a dot stands for every name below it
	Setting string   // what a refusal names as the place to add one
}

// guard refuses what comes by a name that is not the instance's own: a page elsewhere whose name is made to point here
// (DNS rebinding). An IP address is no such name: browsers put into Host what the page's address says, so probes, which
// go to the pod's address, pass. So does a request without any Host (HTTP/1.0): no browser sends one.
type guard struct {
	hosts Hosts
	next  http.Handler
}

// ServeHTTP implements http.Handler.
func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header() // pages of the profiler among it: nothing here is to be framed, guessed at, kept or to load anything
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !g.hosts.allow(r.Host) {
		http.Error(w, fmt.Sprintf("Host %.100q is not a name of this instance: ask for it by its IP address or localhost, "+
			"or add the name to %s", r.Host, g.hosts.Setting), http.StatusForbidden)
		return
	}
	g.next.ServeHTTP(w, r)
}

// allow says whether a Host is one of the instance's own.
func (h Hosts) allow(host string) bool {
	name := hostName(host)
	if _, err := netip.ParseAddr(name); err == nil || host == "" || name == "localhost" {
		return true
	}
	for _, own := range h.Names {
		own = hostName(own)
		if name == own || strings.HasPrefix(own, ".") && strings.HasSuffix(name, own) {
			return true
		}
	}
	return false
}

// hostName is a Host without port, brackets and the root's dot, in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// sameOrigin refuses what the pages of other origins ask for. http.CrossOriginProtection lets their GETs pass, as those
// should change nothing; here they count as acting, since a profile costs time and shows memory.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		acting := *r
		acting.Method = http.MethodPost
		if err := protection.Check(&acting); err != nil {
			http.Error(w, "this comes from a page of another origin; type the address, or use balanceq or curl",
				http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
