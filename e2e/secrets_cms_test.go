package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/balanceq/balanceq/cmssim"
)

// echoingCMS is a CMS that repeats to some what they sent, in all the ways in which servers do, and answers the others.
type echoingCMS struct {
	cms http.Handler

	mu      sync.Mutex
	victims map[int64]trick
	all     trick             // for everybody; nil: for the victims only
	closing bool              // a connection is for one call
	seen    map[string]string // what must not come out of what was sent, and its name
	played  int
}

// trick is a way of not answering a call.
type trick struct {
	play   func(w http.ResponseWriter, c call)
	times  int  // after so many calls the victim is answered; 0: never
	answer bool // in the end it is a result
}

// call is what a server knows of a call.
type call struct {
	*http.Request
	auth, target string // the Authorization, and the whole URL
}

func (p *echoingCMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	c := call{Request: r, auth: r.Header.Get("Authorization"), target: scheme + "://" + r.Host + r.URL.RequestURI()}
	if play := p.choose(w, c); play != nil {
		play(w, c)
		return
	}
	p.cms.ServeHTTP(w, r)
}

// choose returns what happens to a call; nil: it is answered.
func (p *echoingCMS) choose(w http.ResponseWriter, c call) func(http.ResponseWriter, call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		w.Header().Set("Connection", "close")
	}
	contract := c.contract()
	t, victim := p.victims[contract]
	if p.all.play != nil {
		t, victim = p.all, true
	}
	if victim || len(p.seen) < 200 { // of those that are answered some will do
		p.remember(c)
	}
	if !victim {
		return nil
	}
	if t.times == 1 {
		delete(p.victims, contract)
	} else if t.times > 1 {
		t.times--
		p.victims[contract] = t
	}
	p.played++
	return t.play
}

// remember notes what is secret in a call. It requires mu.
func (p *echoingCMS) remember(c call) {
	for field := range strings.SplitSeq(strings.TrimPrefix(c.auth, "OAuth "), ",") {
		name, value, _ := strings.Cut(field, "=")
		plain, err := url.PathUnescape(strings.Trim(value, `"`))
		if err == nil && (name == "oauth_signature" || name == "oauth_nonce") {
			p.seen[plain] = name
		}
	}
	if login := c.Header.Get("Proxy-Authorization"); login != "" {
		p.seen[login] = "Proxy-Authorization"
	}
}

// with changes the server between two calls.
func (p *echoingCMS) with(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// calls is how many were played a trick.
func (p *echoingCMS) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.played
}

func (c call) contract() int64 {
	return contractID(strings.TrimSuffix(strings.TrimPrefix(c.URL.Path, cmssim.BasePath+"/contracts/"), "/balances"))
}

// contractID is 0 for what is none.
func contractID(text string) int64 {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// cardNumber is the i-th of many that look like one.
func cardNumber(i int) string {
	digits := fmt.Sprintf("41111%010d", i)
	sum := 0
	for at, digit := range digits {
		n := int(digit - '0')
		if at%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return digits + strconv.Itoa((10-sum%10)%10)
}

// errorBody is one of Mastercard's.
func errorBody(source, reason, description, details string) string {
	body, err := json.Marshal(map[string]any{"Errors": map[string]any{"Error": []any{map[string]any{
		"Source": source, "ReasonCode": reason, "Description": description, "Recoverable": false, "Details": details}}}})
	if err != nil {
		panic(err) // cannot be: it is text
	}
	return string(body)
}

// rejection is the CMS's own.
func rejection(description, details string) string {
	return errorBody("MASTERCARD PROCESSING", "REQUEST_VALIDATION", description, details)
}

// bodies repeat what was sent, by who would.
var bodies = map[string]func(call) string{
	"gateway": func(c call) string {
		address, query, _ := strings.Cut(c.target, "?")
		query += "&" + strings.ReplaceAll(strings.TrimPrefix(c.auth, "OAuth "), ",", "&")
		base := "GET&" + url.QueryEscape(address) + "&" + url.QueryEscape(query)
		return errorBody("Gateway", "AUTHENTICATION_FAILED", "Acceptable signature base string: "+base, c.auth)
	},
	"CMS": func(c call) string {
		return rejection("Invalid request GET "+c.target+" Authorization: "+c.auth, c.target)
	},
	"header first": func(c call) string {
		return rejection(c.auth+" at "+c.target, "")
	},
	"everywhere": func(c call) string { return errorBody(c.auth, c.target, consumerKey, c.target) },
	"contract": func(c call) string {
		return rejection(fmt.Sprintf("Contract %d (%s) cannot be asked.", c.contract(), c.target), "")
	},
	"escaped": func(c call) string {
		return rejection(url.QueryEscape(url.QueryEscape(c.target))+inJSON(inJSON(c.auth)), "")
	},
	"in lines": func(c call) string {
		return rejection(apart(c.auth, "\n")+apart(c.target, "\r\n\t"), "")
	},
	"HTML": func(c call) string {
		return "<html><head><title>" + c.target + "</title></head><body><pre>GET " + c.target +
			"\nAuthorization: " + c.auth + "</pre></body></html>"
	},
	"text": func(c call) string { return c.auth + "\n" + c.target },
}
