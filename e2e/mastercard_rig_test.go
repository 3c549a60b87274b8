package e2e

import (
	"net"
	"testing"

	"github.com/balanceq/balanceq/cmssim"
)

const (
	consumerKey     = "CKey0aQ8vXn2LrT5_wZd7HfJ3mPy9BsGk4UeVo6IiRtCxMN1!a9c2e4f6b8d0e1f3a5c7e9b1d3f5a7c9e0b2d4f6a8c1e3f5"
	signingPassword = "battery staple 9"
)

// mastercardRig is a rig whose CMS is as Mastercard's: https, with an authority of its own and certificates of clients;
// calls are signed and answers encrypted, errors too.
type mastercardRig struct {
	*rig
	files *keyFiles
}

func newMastercardRig(t *testing.T, signing *cmssim.Verify) *mastercardRig {
	t.Helper()
	files := newKeyFiles(t)
	if signing == nil {
		signing = &cmssim.Verify{ConsumerKey: consumerKey, Key: &files.signing.PublicKey}
	}
	files.putPEM("ca.pem", files.authority)
	files.putClient("client", files.authority)
	files.putPEM("decryption.pem", files.decryption)
	return &mastercardRig{files: files, rig: newRig(t, 2, cmssim.Config{
		Record: true, Verify: signing, Encrypt: &cmssim.Encrypt{Key: &files.decryption.PublicKey, ErrorsToo: true},
		TLS: files.serverTLS(files.server(net.IPv4(127, 0, 0, 1))),
	})}
}

// flags are those of a client whose keys and certificates fit, but for the signing key and the consumer key.
func (s *mastercardRig) flags(more ...string) []string {
	return append(s.rig.flags(), append([]string{
		"--cms.auth.method=oauth1", "--cms.decryption.key-files=" + s.files.at("decryption.pem"),
		"--cms.tls.ca-file=" + s.files.at("ca.pem"),
		"--cms.tls.cert-file=" + s.files.at("client/cert.pem"), "--cms.tls.key-file=" + s.files.at("client/key.pem"),
	}, more...)...)
}

// signed are those of a client with the right keys, the signing key in PKCS#12.
func (s *mastercardRig) signed(more ...string) []string {
	s.files.putP12("signing.p12", s.files.signing, 100*day, signingPassword)
	return s.flags(append([]string{
		"--cms.auth.consumer-key-file=" + s.files.put("consumer-key", []byte(consumerKey+"\n")),
		"--cms.auth.key-file=" + s.files.at("signing.p12"),
		"--cms.auth.key-password-file=" + s.files.put("signing-password", []byte(signingPassword+"\n")),
	}, more...)...)
}
