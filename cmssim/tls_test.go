package cmssim_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

// serverTLS returns a configuration with a certificate of its own for 127.0.0.1, good for both sides.
func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulator"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
}

// trust makes the client accept the server's certificate.
func trust(client *http.Client, server *tls.Config) *tls.Config {
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(server.Certificates[0].Leaf)
	client.Transport.(*http.Transport).TLSClientConfig = config
	return config
}

func TestTLS(t *testing.T) {
	secure := serverTLS(t)
	secure.NextProtos = []string{"h2"}
	server, client := start(t, cmssim.Config{TLS: secure})
	if !strings.HasPrefix(server.URL(), "https://127.0.0.1:") ||
		!strings.HasPrefix(server.ControlURL(), "https://127.0.0.1:") {
		t.Errorf("URLs %s and %s", server.URL(), server.ControlURL())
	}
	if _, err := tryAsk(t.Context(), client, server.URL()+sandboxCall); err == nil {
		t.Error("a client that does not know the authority was served")
	}
	trust(client, secure)
	for range 2 {
		if got := ask(t, client, server.URL()+sandboxCall); got.status != 200 || got.body != sandboxBoth {
			t.Errorf("got %+v", got)
		}
	}
	if got := server.Simulator().Stats().Connections; got != 2 {
		t.Errorf("%d connections: not kept alive", got)
	}
	both := trust(client, secure).Clone()
	both.NextProtos = []string{"h2", "http/1.1"}
	conn, err := (&tls.Dialer{Config: both}).DialContext(t.Context(), "tcp",
		strings.TrimPrefix(address(server), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("the protocol is %s", got)
	}
	_ = conn.Close()
	server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectReset, Count: 1})
	client.CloseIdleConnections() // a fresh connection: no silent second try
	if _, err := tryAsk(t.Context(), client, server.URL()+sandboxCall); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("want a connection reset, got: %v", err)
	}
}

func TestClientCertificates(t *testing.T) {
	secure, stranger := serverTLS(t), serverTLS(t)
	secure.ClientAuth, secure.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	secure.ClientCAs.AddCert(secure.Certificates[0].Leaf)
	server, client := start(t, cmssim.Config{TLS: secure})
	for name, c := range map[string]struct {
		certificates []tls.Certificate
		served       bool
	}{
		"none":     {nil, false},
		"stranger": {stranger.Certificates, false},
		"known":    {secure.Certificates, true},
	} {
		t.Run(name, func(t *testing.T) {
			client.CloseIdleConnections()
			trust(client, secure).Certificates = c.certificates
			got, err := tryAsk(t.Context(), client, server.URL()+sandboxCall)
			if served := err == nil && got.body == sandboxBoth; served != c.served {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestClockOffset: the Date of answers, of refusals too, is the simulator's own.
func TestClockOffset(t *testing.T) {
	for _, offset := range []time.Duration{0, time.Hour, -time.Hour} {
		server, client := start(t, cmssim.Config{ClockOffset: offset})
		for _, path := range []string{sandboxCall, "/elsewhere"} {
			before := time.Now().Truncate(time.Second)
			got := ask(t, client, server.URL()+path)
			date, err := http.ParseTime(got.header.Get("Date"))
			if err != nil || date.Add(-offset).Before(before) || date.Add(-offset).After(time.Now()) {
				t.Errorf("offset %v: Date is %v at %v (%v)", offset, date, before, err)
			}
		}
	}
}
