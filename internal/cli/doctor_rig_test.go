package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/cli/clitest"
)

// What must never be seen.
const (
	consumerKey   = "Kx4vQ0b1uR7mZpW2nC9sTgHyJdLfA6eVoIiSrBtXqMwUkY3Z!c0ffee00c0ffee11c0ffee22c0ffee33c0ffee44c0ffee55"
	keyPassword   = "correct-horse-Battery-9"
	otherPassword = "staple-of-the-ring-7"
	saslPassword  = "brokers-only-3"
)

// clinic is a world in which everything is as it should be: a CMS that checks signatures, encrypts its answers and
// speaks TLS with client certificates, all keys for it, and a cluster with the topics. Each test spoils one thing.
type clinic struct {
	*clitest.Shell
	sim   *cmssim.Server
	files *doctorFiles
	flags map[string]string // by key
	env   []string
}

// ward is what the clinics of one test share.
type ward struct {
	topics *clitest.Shell
	files  *doctorFiles
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{clitest.NewShell(t, commands...), newDoctorFiles(t)}
	w.topics.Results = w.topics.Broker.Topic(t, 3, "max.message.bytes=2000000") // room for what outcomes add to requests
	w.topics.Dead = w.topics.Broker.Topic(t, 3, "max.message.bytes=2000000")
	return w
}

// open starts a clinic with the simulator as spoil leaves its settings.
func (w *ward) open(t *testing.T, spoil func(*cmssim.Config)) *clinic {
	t.Helper()
	files, topics := w.files, w.topics
	settings := cmssim.Config{
		Record:  true,
		Verify:  &cmssim.Verify{ConsumerKey: consumerKey, Key: &files.signing.PublicKey},
		Encrypt: &cmssim.Encrypt{Key: &files.decryption.PublicKey},
		TLS: &tls.Config{
			Certificates: []tls.Certificate{files.server}, ClientCAs: files.clients, ClientAuth: tls.RequireAndVerifyClientCert,
		},
	}
	if spoil != nil {
		spoil(&settings)
	}
	sim, err := cmssim.Listen("127.0.0.1:0", settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	sub := *topics
	sub.T = t
	return &clinic{Shell: &sub, sim: sim, files: files,
		flags: map[string]string{
			"cms.url": sim.URL(), "cms.proxy": "off", "cms.tls.ca-file": files.at("ca.pem"),
			"cms.tls.cert-file": files.at("client.pem"), "cms.tls.key-file": files.at("client-key.pem"),
			"cms.auth.method": "oauth1", "cms.auth.key-file": files.at("signing.p12"),
			"cms.decryption.key-files": files.at("decryption.pem"),
			"kafka.brokers":            strings.Join(topics.Broker.Brokers(), ","),
			"topics.requests":          topics.Requests, "topics.results": topics.Results, "topics.deadletters": topics.Dead,
			"topics.replays": topics.Replays,
		},
		env: []string{"BALANCEQ_CMS_AUTH_CONSUMER_KEY=" + consumerKey, "BALANCEQ_CMS_AUTH_KEY_PASSWORD=" + keyPassword,
			"BALANCEQ_CMS_DECRYPTION_KEY_PASSWORD=" + otherPassword},
	}
}

// set replaces settings, key and value in turn; an empty value leaves the key out.
func (c *clinic) set(pairs ...string) {
	for pair := range slices.Chunk(pairs, 2) {
		c.flags[pair[0]] = pair[1]
		if pair[1] == "" {
			delete(c.flags, pair[0])
		}
	}
}

// examination is what one run of doctor said.
type examination struct {
	code     int
	out, err string
	checks   []examined // from its JSON
}

// examined is one line of JSON.
type examined struct{ Name, Status, Detail, Fix string }

// examine runs doctor. Whatever it is about, there must be no secret in what it says.
func (c *clinic) examine(ctx context.Context, args ...string) *examination {
	c.Helper()
	args = append([]string{"doctor"}, args...)
	for key, value := range c.flags {
		args = append(args, "--"+key+"="+value)
	}
	var out, errOut bytes.Buffer
	e := &examination{code: Execute(ctx, args, c.env, &out, &errOut)}
	e.out, e.err = out.String(), errOut.String()
	for _, secret := range c.files.secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.QueryEscape(url.QueryEscape(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(e.out+e.err, form) {
				c.Errorf("the output holds the secret %.12s…:\n%s%s", secret, e.out, e.err)
			}
		}
	}
	return e
}

// asJSON runs doctor with --output json and reads what it says.
func (c *clinic) asJSON(args ...string) *examination {
	c.Helper()
	e := c.examine(c.Context(), append(args, "--output=json")...)
	for line := range strings.Lines(e.out) {
		var one examined
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&one); err != nil {
			c.Fatalf("%q: %v", line, err)
		}
		e.checks = append(e.checks, one)
	}
	return e
}

// find returns a check by its name.
func (e *examination) find(t *testing.T, name string) examined {
	t.Helper()
	at := slices.IndexFunc(e.checks, func(one examined) bool { return one.Name == name })
	if at < 0 {
		t.Fatalf("no check %q in\n%s", name, e.out)
	}
	return e.checks[at]
}

// withStatus returns the names of the checks with that status.
func (e *examination) withStatus(status string) (names []string) {
	for _, one := range e.checks {
		if one.Status == status {
			names = append(names, one.Name)
		}
	}
	return names
}

// connectProxy tunnels to wherever it is asked to (RFC 9110 §9.3.6).
type connectProxy struct {
	address string
	tunnels atomic.Int64
}

func newConnectProxy(t *testing.T) *connectProxy {
	t.Helper()
	p := &connectProxy{}
	var open sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		far, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		open.Add(1) // before the server lets go of the connection, and so before its Close returns
		defer open.Done()
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = far.Close()
			return
		}
		p.tunnels.Add(1)
		_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		forward := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_ = to.Close() // one direction ends the other
		}
		var up sync.WaitGroup
		up.Go(func() { forward(far, near) })
		forward(near, far)
		up.Wait()
	}))
	t.Cleanup(func() { server.Close(); open.Wait() })
	p.address = server.Listener.Addr().String()
	return p
}

// unusedAddress is one that no program listens on.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// plainAddress is that of a server that speaks HTTP without TLS, and is no proxy.
func plainAddress(t *testing.T) string {
	t.Helper()
	sim, err := cmssim.Listen("127.0.0.1:0", cmssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	return strings.TrimSuffix(strings.TrimPrefix(sim.URL(), "http://"), cmssim.BasePath)
}
