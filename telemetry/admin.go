package telemetry

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"
)

// OperatorHeader names who resumes. A web page of another site cannot set a header of its own without asking (CORS,
// Fetch Standard 4.8), and is never allowed to.
const OperatorHeader = "X-Balanceq-Operator"

const (
	maxOperator = 128         // of the name, in bytes
	maxProfile  = time.Minute // of ?seconds=: while a profile is taken, the program pays for it
)

// goroutines is where Admin shows what every goroutine does.
const goroutines = "/debug/pprof/goroutine?debug=2"

// Admin is what acts or reveals: POST /resume and Go's profiles below /debug/pprof/, which show memory.
type Admin struct {
	Hosts  Hosts
	Token  func() string // what requests must bring as Authorization: Bearer; nil: nothing
	Resume func(who string) Resumption
}

// Resumption is the answer to POST /resume.
type Resumption struct {
	Instance string `json:"instance"`
	Resumed  bool   `json:"resumed"` // false: there was nothing to resume
	Was      string `json:"was"`     // why it was paused, or that it was not
}

// Handler serves it.
func (a Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /resume", a.resume)
	mux.Handle("GET /debug/pprof/", bounded(pprof.Index)) // goroutine dumps among them
	mux.Handle("GET /debug/pprof/profile", bounded(pprof.Profile))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("POST /resume         goes on that was paused by too many dead letters: balanceq resume\n" +
			"GET  /debug/pprof/   profiles and dumps of the goroutines\n"))
	})
	return guard{a.Hosts, sameOrigin(a.authorized(mux))}
}

// authorized asks for the token. Digests are compared, so that the time tells neither content nor length.
func (a Admin) authorized(next http.Handler) http.Handler {
	if a.Token == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		digest, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(a.Token()))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(digest[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="balanceq"`) // RFC 6750, 3
			http.Error(w, "the token is missing or wrong: send it as Authorization: Bearer", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// resume lets an operator resume.
func (a Admin) resume(w http.ResponseWriter, r *http.Request) {
	who := r.Header.Get(OperatorHeader)
	if !isOperator(who) {
		http.Error(w, OperatorHeader+": name who resumes, in 1 to 128 printable ASCII characters; balanceq resume does that",
			http.StatusForbidden)
		return
	}
	writeJSON(w, true, a.Resume(who))
}

func isOperator(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return name != "" && len(name) <= maxOperator
}

// bounded refuses profiles that take long.
func bounded(profile http.HandlerFunc) http.Handler {
	const most = int64(maxProfile / time.Second)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := strconv.ParseInt(r.URL.Query().Get("seconds"), 10, 64); err == nil && n > most {
			http.Error(w, fmt.Sprintf("seconds=%d is too long; ask for at most %d", n, most), http.StatusBadRequest)
			return
		}
		profile(w, r)
	})
}
