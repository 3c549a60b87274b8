package telemetry

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// openPaths answer every Host and Origin: probes and scrapes come by names that no setting lists, and hold nothing of a
// request.
var openPaths = map[string]bool{"/": true, "/livez": true, "/readyz": true, "/metrics": true}

// maxProfile bounds ?seconds= of a profile: while one is taken, the program pays for it.
const maxProfile = time.Minute

// guard keeps web pages of other sites out of everything but openPaths.
type guard struct {
	hosts map[string]bool // lower case, without ports
	next  http.Handler
}

func newGuard(hosts []string, next http.Handler) guard {
	g := guard{map[string]bool{"localhost": true}, next}
	for _, h := range hosts {
		g.hosts[hostName(h)] = true
	}
	return g
}

// ServeHTTP implements http.Handler.
func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case openPaths[r.URL.Path]:
	case !g.allows(r.Host):
		http.Error(w, fmt.Sprintf("Host %.100q is not a name of this instance; ask for it by its IP address or localhost, "+
			"or allow the name as one of this instance's hosts", r.Host), http.StatusForbidden)
		return
	case fromPage(r):
		http.Error(w, "this comes from a web page; type the address, or use balanceq or curl", http.StatusForbidden)
		return
	}
	if n, err := strconv.ParseInt(r.URL.Query().Get("seconds"), 10, 64); err == nil && n > int64(maxProfile/time.Second) {
		http.Error(w, fmt.Sprintf("seconds=%d is too long; ask for at most %d", n, int64(maxProfile/time.Second)),
			http.StatusBadRequest)
		return
	}
	g.next.ServeHTTP(w, r)
}

// allows says whether a Host is one of the instance's own. A page elsewhere whose name is made to point here (DNS
// rebinding) still sends that name, and never an IP address.
func (g guard) allows(host string) bool {
	name := hostName(host)
	_, err := netip.ParseAddr(name)
	return err == nil || g.hosts[name]
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

// fromPage says that a web page asks, and not a person who typed the address or follows a link of the profiles' index.
// Browsers send Origin with every POST and with what a page of another origin reads (Fetch Standard 3.2), and
// Sec-Fetch-Site to addresses that they trust, 127.0.0.1 among them (Fetch Metadata 2.4). No page is served that could
// send a POST or set an Origin. A page of another port of this host is same-site, and no more trusted than any other:
// http.CrossOriginProtection would let its GETs pass.
func fromPage(r *http.Request) bool {
	if r.Header.Get("Origin") != "" {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
		return false
	case "none", "same-origin":
		return r.Method != http.MethodGet && r.Method != http.MethodHead
	}
	return true
}
