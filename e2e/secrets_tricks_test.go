package e2e

import (
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// common are the bodies that most servers would send.
var common = map[string]bool{"gateway": true, "CMS": true, "HTML": true}

// statuses are all that a request can be refused with.
var statuses = []int{400, 401, 403, 404, 405, 407, 408, 415, 418, 429, 500, 502, 503}

func refuse(status int, body func(call) string) func(http.ResponseWriter, call) {
	return func(w http.ResponseWriter, c call) {
		w.Header().Set("X-Mc-Correlation-Id", "0.c63e1202.1779961183.8c33327b")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body(c))
	}
}

func redirect(status int) func(http.ResponseWriter, call) {
	return func(w http.ResponseWriter, c call) {
		w.Header().Set("Location", c.target+"&login="+url.QueryEscape(c.auth))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, bodies["HTML"](c))
	}
}

// raw writes the bytes of an answer and closes the connection.
func raw(text func(call) string) func(http.ResponseWriter, call) {
	return func(w http.ResponseWriter, c call) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // cannot be: HTTP/1.1
		}
		_, _ = io.WriteString(conn, text(c))
		_ = conn.Close()
	}
}

// sealed encrypts for a key.
func sealed(key *rsa.PublicKey, kid, plain string) string {
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: key, KeyID: kid},
		nil)
	if err != nil {
		panic(err) // cannot be with such a key
	}
	object, err := encrypter.Encrypt([]byte(plain))
	if err != nil {
		panic(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return `{"encryptedData":"` + token + `"}`
}

// tricks returns all of them, by name, but the unsolicited ones.
func tricks(files *keyFiles) map[string]trick {
	all := map[string]trick{}
	for _, status := range statuses {
		for name, body := range bodies {
			if status != http.StatusBadRequest && !common[name] {
				continue // what is made of a body does not depend on the status, but what is said may
			}
			t := trick{play: refuse(status, body)}
			if status == http.StatusTooManyRequests { // waits as long as it goes on
				t.times, t.answer = 2, true
			}
			all[fmt.Sprint(status, " ", name)] = t
		}
	}
	for _, status := range []int{301, 302, 303, 307, 308, 399} {
		all[fmt.Sprint(status)] = trick{play: redirect(status)}
	}
	ok := func(body func(call) string) trick { return trick{play: refuse(http.StatusOK, body)} }
	for name, body := range bodies {
		all["200 "+name] = ok(body)
		encrypted := func(c call) string { return sealed(&files.decryption.PublicKey, "", body(c)) }
		all["encrypted 400 "+name] = trick{play: refuse(http.StatusBadRequest, encrypted)}
		all["encrypted 200 "+name] = ok(encrypted)
		if !common[name] {
			continue
		}
		answer := func(head string) trick { return trick{play: raw(func(c call) string { return head + body(c) })} }
		all["cut "+name] = answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 99999\r\n\r\n")
		all["bad chunk "+name] = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	}
	for name, text := range map[string]func(call) string{
		"Authorization": func(c call) string { return c.auth }, "URL": func(c call) string { return c.target },
		"consumer key": func(call) string { return consumerKey },
	} {
		quoted := func(c call) string { return `"` + inJSON(text(c)) + `"` }
		all["pointer to "+name] = ok(func(c call) string { return `{"contractBalances":[{` + quoted(c) + `:{]}` })
		all["duplicate "+name] = ok(func(c call) string { return `{` + quoted(c) + `:1,` + quoted(c) + `:2}` })
		all["odd balance of "+name] = ok(func(c call) string {
			return `{"contractBalances":[{"balanceCode":` + quoted(c) + `,"balanceId":` + quoted(c) + `}]}`
		})
		all["kid of "+name] = ok(func(c call) string { return sealed(&files.stranger.PublicKey, text(c), "{}") })
		all["JWE of "+name] = ok(func(c call) string {
			head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":` + quoted(c) + `,"enc":` + quoted(c) + `}`))
			return `{"encryptedData":"` + head + `.e30.e30.e30.e30"}`
		})
		for head, format := range map[string]string{
			"no HTTP": "%s\r\n\r\n", "status code": "HTTP/1.1 2%s\r\n\r\n",
			"reason":   "HTTP/1.1 401 %s\r\nContent-Length: 0\r\n\r\n",
			"protocol": "HTTP/%s\r\n\r\n", "header line": "HTTP/1.1 200 OK\r\n%s\x00\r\n\r\n",
			"header name": "HTTP/1.1 200 OK\r\nX (%s): 1\r\n\r\n",
			"length":      "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
			"encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n",
			"trailer":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: %s, Content-Length\r\n\r\n0\r\n\r\n",
		} {
			all[head+" of "+name] = trick{play: raw(func(c call) string { return fmt.Sprintf(format, text(c)) })}
		}
		all["correlation id of "+name] = trick{play: func(w http.ResponseWriter, c call) {
			w.Header().Set("X-Mc-Correlation-Id", strings.ReplaceAll(text(c), " ", ""))
			w.WriteHeader(http.StatusTeapot)
		}}
	}
	all["too large"] = ok(func(c call) string { return strings.Repeat(c.auth+c.target, 300) })
	all["large header"] = trick{play: func(w http.ResponseWriter, c call) {
		w.Header().
			Set("X-Echo", strings.Repeat(c.auth, 300))
	}}
	all["hang"] = trick{play: func(_ http.ResponseWriter, c call) { <-c.Context().Done() }}
	all["reset"] = trick{play: func(w http.ResponseWriter, _ call) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // cannot be: HTTP/1.1
		}
		if tcp, is := conn.(*net.TCPConn); is {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}}
	return all
}

// unsolicited are the tricks that send more than was asked for. What comes next on the connection suffers from it.
func unsolicited() map[string]trick {
	all := map[string]trick{}
	for name, body := range bodies {
		all[name] = trick{play: raw(func(c call) string {
			return "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}" +
				body(c)
		})}
	}
	return all
}
