package cmssim_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/balanceq/balanceq/cmsclient/jwe"
	"github.com/balanceq/balanceq/cmssim"
)

func encrypting(errorsToo bool) cmssim.Config {
	return cmssim.Config{Encrypt: &cmssim.Encrypt{Key: &signingKey().PublicKey, ErrorsToo: errorsToo}}
}

// opened decrypts an envelope step by step as RFC 7516 §5.2 says, and checks the header; false if it is none.
func opened(t testing.TB, body, field string) (string, bool) {
	t.Helper()
	token, isEnvelope := strings.CutPrefix(body, `{"`+field+`":"`)
	if !isEnvelope {
		return "", false
	}
	var parts [5][]byte
	split := strings.Split(strings.TrimSuffix(token, `"}`), ".")
	if len(split) != len(parts) {
		t.Fatalf("no compact JWE: %s", body)
	}
	for i := range split {
		var err error
		if parts[i], err = base64.RawURLEncoding.DecodeString(split[i]); err != nil {
			t.Fatal(err)
		}
	}
	var header map[string]string
	spki, _ := x509.MarshalPKIXPublicKey(&signingKey().PublicKey)
	kid := sha256.Sum256(spki)
	if err := json.Unmarshal(parts[0], &header); err != nil || len(header) != 4 || header["alg"] != "RSA-OAEP-256" ||
		header["enc"] != "A256GCM" || header["cty"] != "application/json" || header["kid"] != hex.EncodeToString(kid[:]) {
		t.Fatalf("header %s: %v", parts[0], err)
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, signingKey(), parts[1], nil)
	if err != nil || len(key) != 32 {
		t.Fatalf("a key of %d bytes: %v", len(key), err)
	}
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	plain, err := gcm.Open(nil, parts[2], append(parts[3], parts[4]...), []byte(split[0]))
	if err != nil {
		t.Fatal(err)
	}
	return string(plain), true
}

// TestEncryptedAnswers compares with what the same simulator answers in plain, byte for byte.
func TestEncryptedAnswers(t *testing.T) {
	const always, demanded, never = "always", "on demand", "never"
	fault := func(f cmssim.Fault) *cmssim.Fault { f.Effect = cmssim.EffectStatus; return &f }
	for name, c := range map[string]struct {
		method, target string
		fault          *cmssim.Fault
		encrypted      string
	}{
		"balances":            {"GET", sandboxCall, nil, always},
		"no balances":         {"GET", "/contracts/204/balances?balance_codes=CB", nil, always},
		"22 digits":           {"GET", "/contracts/999/balances?balance_codes=AVAILABLE,BLOCKED", nil, always},
		"delayed":             {"GET", sandboxCall, &cmssim.Fault{Effect: cmssim.EffectDelay, Delay: 1}, always},
		"contract not found":  {"GET", "/contracts/404/balances?balance_codes=CB", nil, demanded},
		"invalid request":     {"GET", "/contracts/1/balances", nil, demanded},
		"403 of the CMS":      {"GET", sandboxCall, fault(cmssim.Fault{Status: 403}), demanded},
		"500 of the CMS":      {"GET", sandboxCall, fault(cmssim.Fault{Status: 500}), demanded},
		"path of the gateway": {"GET", "/elsewhere", nil, never},
		"405 of the gateway":  {"POST", sandboxCall, nil, never},
		"503 of the gateway":  {"GET", sandboxCall, fault(cmssim.Fault{Status: 503}), never},
		"own gateway error":   {"GET", sandboxCall, fault(cmssim.Fault{Status: 404, Source: "Gateway"}), never},
		"own body":            {"GET", sandboxCall, fault(cmssim.Fault{Status: 400, Body: `{"Errors":{}}`}), never},
		"own body of 200":     {"GET", sandboxCall, fault(cmssim.Fault{Status: 200, Body: `{}`}), never},
		"garbage":             {"GET", sandboxCall, &cmssim.Fault{Effect: cmssim.EffectGarbage}, never},
	} {
		t.Run(name, func(t *testing.T) {
			answer := func(config cmssim.Config) (int, string) {
				sim := cmssim.New(config)
				if c.fault != nil {
					sim.AddFault(*c.fault)
				}
				w := direct(sim, c.method, c.target)
				return w.Code, w.Body.String()
			}
			wantStatus, want := answer(cmssim.Config{})
			for _, errorsToo := range []bool{false, true} {
				status, body := answer(encrypting(errorsToo))
				plain, encrypted := opened(t, body, "encryptedData")
				if !encrypted {
					plain = body
				}
				if status != wantStatus || plain != want {
					t.Errorf("errors too %v: got %d %s, want %d %s", errorsToo, status, plain, wantStatus, want)
				}
				if expected := c.encrypted == always || c.encrypted == demanded && errorsToo; encrypted != expected {
					t.Errorf("errors too %v: encrypted: %v", errorsToo, encrypted)
				}
			}
		})
	}
}

// TestEncryptedOverASocket also has the client's own package open the answer.
func TestEncryptedOverASocket(t *testing.T) {
	config := encrypting(false)
	config.Encrypt.Field = "encryptedValue"
	server, client := start(t, config)
	got := ask(t, client, server.URL()+sandboxCall)
	if plain, encrypted := opened(t, got.body, "encryptedValue"); !encrypted || plain != sandboxBoth ||
		got.header.Get("Content-Type") != mediaJSON || got.length != int64(len(got.body)) {
		t.Errorf("got %+v", got)
	}
	keys := func() []*rsa.PrivateKey { return []*rsa.PrivateKey{signingKey()} }
	decrypter := jwe.New([]string{"encryptedData", "encryptedValue"}, keys)
	if plain, err := decrypter.Decrypt([]byte(got.body)); err != nil || string(plain) != sandboxBoth {
		t.Errorf("the client opens %q, %v", plain, err)
	}
	server.Simulator().AddFault(cmssim.Fault{Effect: cmssim.EffectTruncate, Count: 1})
	if half, err := tryAsk(t.Context(), client, server.URL()+sandboxCall); !errors.Is(err, io.ErrUnexpectedEOF) ||
		half.length != got.length || int64(len(half.body)) != got.length/2 ||
		!strings.HasPrefix(half.body, `{"encryptedValue":"ey`) {
		t.Errorf("truncated: %+v, %v", half, err)
	}
}

// TestEncryptsConcurrently: no two answers share a key or an IV, or anything else.
func TestEncryptsConcurrently(t *testing.T) {
	sim := cmssim.New(encrypting(true))
	bodies := make([]string, 16)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() { bodies[i] = direct(sim, http.MethodGet, sandboxCall).Body.String() })
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, body := range bodies {
		if plain, ok := opened(t, body, "encryptedData"); !ok || plain != sandboxBoth || seen[body] {
			t.Errorf("got %s", body)
		}
		seen[body] = true
	}
}
