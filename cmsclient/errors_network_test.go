package cmsclient

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/cmsclient/http1"
)

// remoteAlert is a server's alert as crypto/tls reports it over TCP.
func remoteAlert(a tls.AlertError) error {
	return &net.OpError{Op: "remote error", Err: errors.New(a.Error())}
}

// What goes wrong without an answer: nothing that asking again cures may halt, nothing else may look like an outage.
func TestNetworkTranslation(t *testing.T) {
	cases := map[string]struct {
		err    error
		class  Class
		called string
		fix    string
	}{
		"DNS": {&net.DNSError{Err: "no such host", Name: "cms.test", IsNotFound: true}, Transient,
			CallNetwork, ""},
		"DNS timeout": {&net.DNSError{Err: "i/o timeout", Name: "cms.test", IsTimeout: true}, Transient, CallTimeout,
			""},
		"refused":  {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, Transient, CallNetwork, ""},
		"reset":    {&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, Transient, CallNetwork, ""},
		"EOF":      {io.EOF, Transient, CallNetwork, ""},
		"cut off":  {io.ErrUnexpectedEOF, Transient, CallNetwork, ""},
		"deadline": {context.DeadlineExceeded, Transient, CallTimeout, ""},
		"not TLS": {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, Transient,
			CallNetwork, ""},
		"handshake failure": {remoteAlert(40), Transient, CallNetwork, ""},
		"protocol version":  {remoteAlert(70), Transient, CallNetwork, ""},
		"internal error":    {remoteAlert(80), Transient, CallNetwork, ""},
		"unrecognized name": {remoteAlert(112), Transient, CallNetwork, ""},
		"our own alert": {&net.OpError{Op: "local error", Err: errors.New(tls.AlertError(42).Error())}, Transient,
			CallNetwork, ""},
		"bad certificate":   {remoteAlert(42), Halting, CallNetwork, "client certificate"},
		"expired":           {remoteAlert(45), Halting, CallNetwork, "client certificate"},
		"unknown authority": {remoteAlert(48), Halting, CallNetwork, "client certificate"},
		"required":          {fmt.Errorf("broken: %w", remoteAlert(116)), Halting, CallNetwork, "client certificate"},
		"required by a proxy": {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: remoteAlert(116)}, Halting, CallNetwork,
			"client certificate"},
		"their authority": {x509.UnknownAuthorityError{}, Halting, CallNetwork, "trusted authorities"},
		"their certificate": {x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}, Halting,
			CallNetwork, "trusted authorities"},
		"their name": {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "cms.test"}, Halting, CallNetwork,
			"the CMS's address"},
		"not signed":          {&authError{errors.New("no key")}, Halting, CallNetwork, "the signing key"},
		"proxy wants a login": {&http1.ProxyStatusError{Status: 407}, Halting, CallNetwork, "HTTPS_PROXY"},
		"proxy refuses":       {&http1.ProxyStatusError{Status: 403}, Halting, CallNetwork, "proxy"},
		"proxy of nowhere":    {errProxyAddress, Halting, CallNetwork, "proxy"},
		"proxy cannot reach":  {&http1.ProxyStatusError{Status: 502}, Transient, CallNetwork, ""},
		"proxy times out":     {&http1.ProxyStatusError{Status: 504}, Transient, CallNetwork, ""},
		"proxy is busy":       {&http1.ProxyStatusError{Status: 429}, Transient, CallNetwork, ""},
		"any verification": {&tls.CertificateVerificationError{Err: errors.New("x")}, Halting, CallNetwork,
			"trusted authorities"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			obs := &recorder{}
			cfg := testConfig("http://cms.test")
			cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, c.err })
			_, err := ask(t.Context(), newTestClient(t, cfg, obs), 1)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Class != c.class || e.Status != 0 {
				t.Fatalf("got %v, want %s", err, c.class)
			}
			if !strings.Contains(e.Fix, c.fix) || (e.Fix == "") != (c.fix == "") || !strings.HasSuffix(e.Error(), e.Fix) {
				t.Errorf("fix %q, want one with %q", e.Fix, c.fix)
			}
			if obs.count(c.called) != 1 {
				t.Errorf("observed %v, want one %s", obs.calls, c.called)
			}
		})
	}
}

// The attempt's own time is the CMS's failure, the caller's context is not; and neither looks like the other.
func TestWhoseTimeEnded(t *testing.T) {
	hang := roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig("http://cms.test")
		cfg.Transport = hang
		obs := &recorder{}
		c := newTestClient(t, cfg, obs)

		_, err := ask(t.Context(), c, 1)
		if classOf(err) != Transient || errors.Is(err, context.DeadlineExceeded) || obs.count(CallTimeout) != 1 {
			t.Errorf("own timeout: %v, observed %v", err, obs.calls)
		}
		if !strings.Contains(err.Error(), "within 5s") {
			t.Errorf("own timeout: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = ask(short, c, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's deadline: %v", err)
		}
		cancelled, cancel2 := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel2)
		if _, err = ask(cancelled, c, 1); !errors.Is(err, context.Canceled) || obs.count(CallCancelled) != 2 {
			t.Errorf("the caller's cancellation: %v, observed %v", err, obs.calls)
		}
		if counts := c.admission.breaker.failures.Counts(); counts.TotalFailures != 1 || counts.TotalExclusions != 2 {
			t.Errorf("the breaker counted %+v, want 1 failure and 2 exclusions", counts)
		}
	})
}

// A transport's "context canceled" that is not the caller's must not look like the caller's.
func TestForeignCancellation(t *testing.T) {
	cfg := testConfig("http://cms.test")
	cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("dialing: %w", context.Canceled)
	})
	_, err := ask(t.Context(), newTestClient(t, cfg, nil), 1)
	if classOf(err) != Transient || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// All alerts that refuse a certificate are still those of crypto/tls.
func TestRefusedCertificateAlerts(t *testing.T) {
	for _, alert := range refusedCertificate {
		if text := alert.Error(); !strings.Contains(text, "certificate") && alert != 49 {
			t.Errorf("alert %d is %q", alert, text)
		}
	}
}

// authority issues certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	own := a.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, time.Hour)
	a.key, a.cert = own.PrivateKey.(*ecdsa.PrivateKey), own.Leaf
	return a
}

// issue fills in and signs a certificate that is valid for so long from now.
func (a *authority) issue(template *x509.Certificate, valid time.Duration) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(valid)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) server(ip string, valid time.Duration) tls.Certificate {
	return a.issue(&x509.Certificate{IPAddresses: []net.IP{net.ParseIP(ip)}}, valid)
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// handshakes shakes hands with every connection and answers its request with goodBody. It reads a connection to its
// end, so that an alert is never lost to a reset. It returns its address.
func handshakes(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	return serveConns(t, func(conn net.Conn) {
		server := tls.Server(conn, cfg)
		if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
			fmt.Fprintf(server, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(goodBody), goodBody)
			server.CloseWrite()
		}
		io.Copy(io.Discard, conn)
	})
}

// The same over real connections, as net/http reports it.
func TestTLSTranslation(t *testing.T) {
	own, theirs := newAuthority(t), newAuthority(t)
	good := own.server("127.0.0.1", time.Hour)
	client := own.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, time.Hour)
	expired := own.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, -time.Minute)
	stranger := theirs.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, time.Hour)

	mutual := func(version uint16) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: version, MaxVersion: version,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: own.pool()}
	}
	plain := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	old := &tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	cases := map[string]struct {
		server *tls.Config
		client tls.Certificate
		class  Class
		text   string
	}{
		"trusted":           {plain(good), tls.Certificate{}, "", ""},
		"unknown authority": {plain(theirs.server("127.0.0.1", time.Hour)), tls.Certificate{}, Halting, "unknown authority"},
		"another name":      {plain(own.server("127.0.0.2", time.Hour)), tls.Certificate{}, Halting, "the CMS's address"},
		"expired":           {plain(own.server("127.0.0.1", -time.Minute)), tls.Certificate{}, Halting, "expired"},
		"old version":       {old, tls.Certificate{}, Transient, "protocol version"},
		"mutual, 1.2":       {mutual(tls.VersionTLS12), client, "", ""},
		"mutual, 1.3":       {mutual(tls.VersionTLS13), client, "", ""},
		// it could mean anything
		"no certificate, 1.2": {mutual(tls.VersionTLS12), tls.Certificate{}, Transient, "handshake failure"},
		"no certificate, 1.3": {mutual(tls.VersionTLS13), tls.Certificate{}, Halting,
			"certificate required; the server refuses"},
		"client expired, 1.2":    {mutual(tls.VersionTLS12), expired, Halting, "client certificate"},
		"client expired, 1.3":    {mutual(tls.VersionTLS13), expired, Halting, "client certificate"},
		"client of another, 1.3": {mutual(tls.VersionTLS13), stranger, Halting, "client certificate"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			obs := &recorder{}
			cfg := testConfig("https://" + handshakes(t, c.server))
			cfg.Proxy = noProxy
			cfg.TLS = &tls.Config{RootCAs: own.pool(),
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.client, nil }}
			cms := newTestClient(t, cfg, obs)
			_, err := ask(t.Context(), cms, 1)
			if classOf(err) != c.class || (err == nil) != (c.class == "") {
				t.Fatalf("got %v, want %q", err, c.class)
			}
			if err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %q, want something with %q", err, c.text)
			}
			if halted := cms.Status().HaltedError != ""; halted != (c.class == Halting) {
				t.Errorf("halted: %v", halted)
			}
		})
	}
}
