package cmssim_test

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmssim"
)

func TestListenRefuses(t *testing.T) {
	server, _ := start(t, cmssim.Config{})
	public := &signingKey().PublicKey
	verify := func(v cmssim.Verify) cmssim.Config { return cmssim.Config{Verify: &v} }
	encrypt := func(e cmssim.Encrypt) cmssim.Config { return cmssim.Config{Encrypt: &e} }
	for name, c := range map[string]struct {
		addr    string
		config  cmssim.Config
		message string
	}{
		"busy address":   {address(server), cmssim.Config{}, "listening for the simulator"},
		"latency":        {"127.0.0.1:0", cmssim.Config{Latency: -1}, "latency"},
		"jitter":         {"127.0.0.1:0", cmssim.Config{Jitter: -1}, "jitter"},
		"max-concurrent": {"127.0.0.1:0", cmssim.Config{MaxConcurrent: -1}, "max-concurrent"},
		"clock-offset":   {"127.0.0.1:0", cmssim.Config{ClockOffset: -25 * time.Hour}, "clock-offset"},
		"no certificate": {"127.0.0.1:0", cmssim.Config{TLS: &tls.Config{}}, "tls-cert-file"},
		"consumer key":   {"127.0.0.1:0", verify(cmssim.Verify{Key: public}), "verify-consumer-key"},
		"signing key":    {"127.0.0.1:0", verify(cmssim.Verify{ConsumerKey: "k"}), "verify-key-file"},
		"empty key":      {"127.0.0.1:0", verify(cmssim.Verify{ConsumerKey: "k", Key: &rsa.PublicKey{}}), "verify-key-file"},
		"skew": {"127.0.0.1:0", verify(cmssim.Verify{ConsumerKey: "k", Key: public, MaxSkew: -1}),
			"verify-max-skew"},
		"encryption key": {"127.0.0.1:0", encrypt(cmssim.Encrypt{}), "encrypt-key-file"},
		"short key": {"127.0.0.1:0", encrypt(cmssim.Encrypt{Key: &rsa.PublicKey{N: big.NewInt(35), E: 3}}),
			"encrypt-key-file"},
		"field": {"127.0.0.1:0", encrypt(cmssim.Encrypt{Key: public, Field: "\xff"}), "encrypt-field"},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := cmssim.Listen(c.addr, c.config)
			if err == nil {
				_ = server.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestNewRefuses: a simulator that cannot check or encrypt as asked does not come into being.
func TestNewRefuses(t *testing.T) {
	for _, config := range []cmssim.Config{{Verify: &cmssim.Verify{}}, {Encrypt: &cmssim.Encrypt{}}} {
		func() {
			defer func() {
				if got := recover(); got == nil || !strings.Contains(fmt.Sprint(got), "cmssim: invalid configuration: ") {
					t.Errorf("recovered %v", got)
				}
			}()
			cmssim.New(config)
		}()
	}
}

func TestCloseTwice(t *testing.T) {
	server, _ := start(t, cmssim.Config{})
	for range 2 {
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := server.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
}

func TestURLOfAnUnspecifiedAddress(t *testing.T) {
	server, err := cmssim.Listen("0.0.0.0:0", cmssim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	if !strings.HasPrefix(server.URL(), "http://127.0.0.1:") {
		t.Errorf("URL is %s", server.URL())
	}
}

// TestShutdownLetsCallsEnd: a call that takes its time is still answered.
func TestShutdownLetsCallsEnd(t *testing.T) {
	server, client := start(t, cmssim.Config{Latency: 50 * time.Millisecond})
	result := goAsk(t.Context(), client, server.URL()+sandboxCall)
	eventually(t, "the call is in flight", func() bool { return server.Simulator().Stats().InFlight == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-result; err != nil || server.Simulator().Stats().ByStatus[200] != 1 {
		t.Errorf("the call got %v; %+v", err, server.Simulator().Stats())
	}
}

func TestShutdownCutsHangingCalls(t *testing.T) {
	server, client := start(t, cmssim.Config{})
	server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectHang})
	result := goAsk(t.Context(), client, server.URL()+sandboxCall)
	eventually(t, "the call is in flight", func() bool { return server.Simulator().Stats().InFlight == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-result; err == nil {
		t.Error("the hanging call was answered")
	}
}
