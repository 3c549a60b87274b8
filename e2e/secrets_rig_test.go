package e2e

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/cmssim"
)

// Secrets that can be told from everything else. The characters in them are those that get escaped somewhere.
const (
	armouredPassword   = `signing "p@ss"/w%2F&<x>+ marker 4711`
	decryptionPassword = `decryption 'p@ss'\w%41;=? marker 4712`
	saslPassword       = `brokers, {only} $x #y marker 4713`
	proxyPassword      = `proxy:p@ss/w%zz&"x" marker 4714`
)

// secretsRig is a rig in which the program has one of each secret, and a CMS that repeats whatever it gets to know.
type secretsRig struct {
	*rig
	files  *keyFiles
	hunt   *hunt
	cms    *echoingCMS
	proxy  *connectProxy // nil: calls are not encrypted, and the CMS itself plays the proxy
	in     *instance
	args   []string
	env    []string
	heard  map[string]string // what was emitted, by where
	health map[string]bool   // what /readyz said
	cards  int               // contracts that look like card numbers, so far
}

func newSecretsRig(t *testing.T, secure bool) *secretsRig {
	t.Helper()
	w := &secretsRig{
		rig: newRig(t, 2, cmssim.Config{}), files: newKeyFiles(t), hunt: newHunt(),
		heard: map[string]string{}, health: map[string]bool{},
	}
	w.cms = &echoingCMS{victims: map[int64]trick{}, seen: map[string]string{}, cms: cmssim.New(cmssim.Config{
		Verify:  &cmssim.Verify{ConsumerKey: consumerKey, Key: &w.files.signing.PublicKey},
		Encrypt: &cmssim.Encrypt{Key: &w.files.decryption.PublicKey, ErrorsToo: true},
	})}
	// An address that is not loopback's by name: for those no proxy of the environment is used.
	anywhere := net.IPv4zero
	server := serve(t, w.cms)
	if secure {
		server.TLS = w.files.serverTLS(w.files.server(anywhere))
		server.StartTLS()
		w.proxy = newConnectProxy(t, w.files, server)
	} else {
		server.Start()
	}
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	w.files.check(err)
	scheme, _, _ := strings.Cut(server.URL, ":")
	w.cmsURL = scheme + "://" + net.JoinHostPort(anywhere.String(), port) + cmssim.BasePath
	w.arm(server.Listener.Addr().String())
	return w
}

// serve returns a server that is yet to be started, and keeps its complaints to itself.
func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	return server
}

// arm gives the program its secrets.
func (w *secretsRig) arm(proxy string) {
	w.t.Helper()
	w.files.putPEM("ca.pem", w.files.authority)
	w.files.putClient("client", w.files.authority)
	// A slow machine gives up more requests than the tricks are for: that must not pause the program.
	w.args = append(w.flags(), "--log.level=trace", "--deadletters.budget=1", "--cms.auth.method=oauth1",
		"--cms.auth.key-file="+w.files.putP12("signing.p12", w.files.signing, 100*day, armouredPassword),
		"--cms.decryption.key-files="+w.files.putP12("decryption.p12", w.files.decryption, 100*day, decryptionPassword),
		"--cms.tls.ca-file="+w.files.at("ca.pem"),
		"--cms.tls.cert-file="+w.files.at("client/cert.pem"), "--cms.tls.key-file="+w.files.at("client/key.pem"))
	if w.proxy != nil {
		proxy = w.proxy.address
	}
	proxy = "http://user:" + percent(proxyPassword) + "@" + proxy
	w.env = []string{
		envConsumerKey + "=" + consumerKey, envPassword + "=" + armouredPassword,
		envDecryption + "=" + decryptionPassword, envSASL + "=" + saslPassword,
		"HTTPS_PROXY=" + proxy, "HTTP_PROXY=" + proxy,
	}
	for name, secret := range map[string]string{
		"consumer key": consumerKey, "signing password": armouredPassword, "decryption password": decryptionPassword,
		"SASL password": saslPassword, "proxy password": proxyPassword, "proxy password in its URL": percent(proxyPassword),
	} {
		w.hunt.add(name, secret)
	}
	for name, key := range map[string]any{"signing key": w.files.signing, "decryption key": w.files.decryption} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		w.files.check(err)
		w.hunt.add(name, string(der))
	}
	w.hunt.add("exponent of the signing key", w.files.signing.D.String())
	w.hunt.add("exponent of the signing key in hex", w.files.signing.D.Text(16))
	w.hunt.addWhole("URL of a call", w.cmsURL+"/contracts/")
	w.hunt.addWhole("URL of a call without scheme", strings.SplitAfter(w.cmsURL, "//")[1]+"/contracts/")
}

// percent escapes every byte of a text.
func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

var listening = regexp.MustCompile(`"?(?:http|admin)"?[:=]"?([0-9.]+:[0-9]+)`)

// start starts the program and notes what /readyz says until the test ends.
func (w *secretsRig) start(flags ...string) {
	w.t.Helper()
	w.in = launchIn(w.t, w.env, slices.Concat(w.args, flags)...)
	w.in.eventually("the program has started", func() bool {
		if all := listening.FindAllStringSubmatch(w.in.output.String(), 2); len(all) == 2 {
			slices.SortFunc(all, func(a, b []string) int { return strings.Compare(b[0], a[0]) })
			w.in.http, w.in.admin = all[0][1], all[1][1]
		}
		return w.in.http != ""
	})
	w.in.eventually("it is ready", w.in.Ready)
}

// note keeps what the program tells of itself at this moment.
func (w *secretsRig) note(when string) {
	w.t.Helper()
	for _, path := range []string{
		"/readyz", "/metrics", "/livez", "/debug/pprof/", "/debug/pprof/cmdline",
		"/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1",
	} {
		_, body := w.in.get(path)
		w.heard[path+" "+when] = string(body)
	}
}

// noteHealth keeps what /readyz says.
func (w *secretsRig) noteHealth() string {
	_, body := w.in.get("/readyz")
	w.health[string(body)] = true
	return string(body)
}

var ownContract = regexp.MustCompile(`"contractId":"\d+"`)

// records are what was written, without what the requests themselves brought along.
func (w *secretsRig) records() {
	for _, m := range w.broker.ReadAll(w.t, w.results) {
		w.heard[fmt.Sprintf("result %d/%d", m.Partition,
			m.Offset)] = headerText(m) + ownContract.ReplaceAllString(string(m.Value), "")
	}
	for _, m := range w.broker.ReadAll(w.t, w.deadletters) {
		w.heard[fmt.Sprintf("dead letter %d/%d (%s)", m.Partition, m.Offset, m.Key)] = headerText(m)
	}
}

func headerText(m kafka.Message) string {
	var b strings.Builder
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Key, h.Value)
	}
	return b.String()
}

// commands runs what else the program can do with the same configuration.
func (w *secretsRig) commands() {
	var running sync.WaitGroup
	var mu sync.Mutex
	for command, configured := range map[string]bool{
		"config print": true, "config check": true, "doctor": true, "doctor --output=json": true,
		"config reference": false, "run --help": false, "--help": false, "version": false,
	} {
		args := strings.Fields(command)
		if configured {
			args = append(args, w.args[1:]...)
		}
		in := launchIn(w.t, w.env, args...)
		running.Go(func() {
			<-in.exited
			mu.Lock()
			defer mu.Unlock()
			w.heard[command] = in.output.String()
		})
	}
	running.Wait()
}

// search looks through everything that was emitted.
func (w *secretsRig) search() {
	w.t.Helper()
	w.heard["standard error"] = w.in.output.String()
	for text := range w.health {
		w.heard["/readyz "+text[:min(len(text), 40)]] += text
	}
	w.cms.with(func() {
		for secret, name := range w.cms.seen {
			w.hunt.add(name, secret)
		}
	})
	size := 0
	for from, text := range w.heard {
		size += len(text)
		if text == "" && from != "/debug/pprof/cmdline" {
			w.t.Errorf("%s: nothing", from)
		}
		for _, found := range w.hunt.find(text) {
			w.t.Errorf("LEAK in %s: %s", from, found)
		}
	}
	w.t.Logf("%d bytes in %d texts, %d pieces", size, len(w.heard), len(w.hunt.pieces))
	if _, some := w.heard["config print"]; !some || len(w.cms.seen) < 100 {
		w.t.Errorf("%d signatures and nonces were seen", len(w.cms.seen))
	}
}
