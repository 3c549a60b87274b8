package cmssim

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Verify makes the simulator check the signature of every call as Mastercard's gateway does: OAuth 1.0a with the body
// hash extension, one-legged, RSA-SHA256 or RSA-PSS (SHA-256, MGF1 with SHA-256, salt of 32 bytes).
type Verify struct {
	ConsumerKey string         // the one that calls must name; as on the wire
	Key         *rsa.PublicKey // of the signing key; at least 2048 bits
	MaxSkew     time.Duration  // most that a timestamp may differ from the simulator's clock; 0: 5 minutes
}

const (
	methodPKCS1 = "RSA-SHA256"
	methodPSS   = "RSA-PSS"

	defaultMaxSkew = 5 * time.Minute
	minKeyBits     = 2048
	maxNonces      = 1 << 17 // nonces remembered at least, if they are not too old before
	maxSignedBody  = 1 << 20 // bytes; the operation has no body at all
	maxDescription = 10000   // characters, by the API's error schema
)

// cause is why a call is refused, as Stats.RefusedSignatures counts it.
type cause int

const (
	causeHeader      cause = iota // no Authorization header, or one that cannot be read
	causeNoKey                    // no oauth_consumer_key
	causeBodyHash                 // oauth_body_hash is not that of the body
	causeConsumerKey              // another consumer key than the configured one
	causeSignature                // the signature is not that of the request by the configured key
	causeTimestamp                // too old or too new
	causeNonce                    // used before
	causes                        // their number
)

// causeNames are in the order of the causes.
var causeNames = [causes]string{"header", "noConsumerKey", "bodyHash", "consumerKey", "signature", "timestamp", "nonce"}

const noKeyText = "Problem with signature base string. Missing oauth_consumer_key"

// Refusals before the signature itself is looked at.
var (
	errHeader   = cmsError{sourceGateway, "INVALID_AUTH_HEADER", "The Authorization header is missing or invalid."}
	errNoKey    = cmsError{sourceGateway, "INVALID_OAUTH_SBS", noKeyText}
	errBodyHash = cmsError{sourceGateway, "INVALID_BODY_HASH", "The oauth_body_hash is not the hash of the body."}
)

// verifier checks signatures.
type verifier struct {
	Verify
	nonces nonces
}

// newVerifier returns nil where nothing is to be checked. Its errors name cms-sim's flag.
func newVerifier(v *Verify) (*verifier, error) {
	switch {
	case v == nil:
		return nil, nil
	case v.ConsumerKey == "":
		return nil, errors.New("verify-consumer-key: is empty; give the consumer key that calls have to name")
	case !longEnough(v.Key):
		return nil, fmt.Errorf("verify-key-file: give an RSA public key of at least %d bits", minKeyBits)
	case v.MaxSkew < 0 || v.MaxSkew > maxDelay:
		return nil, fmt.Errorf("verify-max-skew: %v is not within 0 to 24h", v.MaxSkew)
	}
	out := &verifier{Verify: *v}
	out.MaxSkew = cmp.Or(v.MaxSkew, defaultMaxSkew)
	out.nonces.lifetime = 2 * out.MaxSkew // a timestamp that comes as early as it may is in force for so long
	return out, nil
}

func longEnough(key *rsa.PublicKey) bool {
	return key != nil && key.N != nil && key.N.BitLen() >= minKeyBits
}

// refusal is the gateway's answer to a call whose signature it does not accept.
type refusal struct {
	cause  cause
	status int
	error  cmsError
}

// check returns nil if the call is signed as it must be. now is the time on the simulator's clock.
func (v *verifier) check(r *http.Request, now time.Time) *refusal {
	oauth, ok := authorization(r.Header)
	if !ok {
		return &refusal{causeHeader, http.StatusBadRequest, errHeader}
	}
	if valueOf(oauth, "oauth_consumer_key") == "" {
		return &refusal{causeNoKey, http.StatusBadRequest, errNoKey}
	}
	for _, name := range signedParameters {
		if valueOf(oauth, name) == "" {
			return &refusal{causeHeader, http.StatusBadRequest, errHeader}
		}
	}
	method := valueOf(oauth, "oauth_signature_method")
	seconds, err := strconv.ParseUint(valueOf(oauth, "oauth_timestamp"), 10, 63)
	if err != nil || method != methodPKCS1 && method != methodPSS ||
		has(oauth, "oauth_version") && valueOf(oauth, "oauth_version") != "1.0" {
		return &refusal{causeHeader, http.StatusBadRequest, errHeader}
	}
	if !bodyHashed(r, valueOf(oauth, "oauth_body_hash")) {
		return &refusal{causeBodyHash, http.StatusBadRequest, errBodyHash}
	}
	base := signatureBase(r, oauth)
	// Timestamp and nonce come last, though they are cheap: only who can sign may use a nonce up.
	switch {
	case valueOf(oauth, "oauth_consumer_key") != v.ConsumerKey:
		return denied(causeConsumerKey, "Unknown consumer key", base)
	case !v.signed(base, method, valueOf(oauth, "oauth_signature")):
		return denied(causeSignature, "The signature is not valid", base)
	case now.Sub(time.Unix(int64(seconds), 0)).Abs() > v.MaxSkew:
		return denied(causeTimestamp, "The timestamp is too far from "+strconv.FormatInt(now.Unix(), 10), base)
	case !v.nonces.first(valueOf(oauth, "oauth_nonce"), now):
		return denied(causeNonce, "The nonce has been used before", base)
	}
	return nil
}

// denied is a 401. Like Mastercard's it repeats the base string, with the consumer key and the whole URL in it.
func denied(why cause, reason, base string) *refusal {
	text := reason + ". Acceptable signature base string: " + base
	e := errAuthorization
	e.description = text[:min(len(text), maxDescription)]
	return &refusal{why, http.StatusUnauthorized, e}
}

// bodyHashed reports whether hash is the Base64 of the SHA-256 of the request's body, which it uses up. In the header,
// hash may be escaped or not.
func bodyHashed(r *http.Request, hash string) bool {
	sum := sha256.New()
	if n, err := io.Copy(sum, io.LimitReader(r.Body, maxSignedBody+1)); err != nil || n > maxSignedBody {
		return false
	}
	plain, err := url.PathUnescape(hash)
	return err == nil && plain == base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// signed reports whether the escaped signature is one of the base string.
func (v *verifier) signed(base, method, signature string) bool {
	plain, err := url.PathUnescape(signature)
	if err != nil {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(base))
	if method == methodPSS {
		return rsa.VerifyPSS(v.Key, crypto.SHA256, digest[:], raw, &rsa.PSSOptions{SaltLength: sha256.Size}) == nil
	}
	return rsa.VerifyPKCS1v15(v.Key, crypto.SHA256, digest[:], raw) == nil
}

// nonces remembers which nonces were used, for a lifetime or, where there are too many, the latest maxNonces of them:
// two generations, of which the older one is dropped as a whole. Hashes have one size, however long a nonce is.
type nonces struct {
	lifetime time.Duration
	mu       sync.Mutex
	young    map[[sha256.Size]byte]struct{}
	old      map[[sha256.Size]byte]struct{}
	turned   time.Time // when young began
}

// first reports whether the nonce is new, and remembers it.
func (n *nonces) first(nonce string, now time.Time) bool {
	hash := sha256.Sum256([]byte(nonce))
	n.mu.Lock()
	defer n.mu.Unlock()
	if age := now.Sub(n.turned); n.young == nil || len(n.young) >= maxNonces || age > n.lifetime {
		n.old, n.young, n.turned = n.young, make(map[[sha256.Size]byte]struct{}), now
	}
	_, inOld := n.old[hash]
	_, inYoung := n.young[hash]
	n.young[hash] = struct{}{}
	return !inOld && !inYoung
}

func (n *nonces) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.young, n.old = nil, nil
}
