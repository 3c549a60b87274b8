package cmsclient

import (
	"bytes"
	"net/http"
	"strings"
)

// advice says how to fix what no request can be blamed for.
type advice struct {
	what   string
	fields []string // of Config, that may have to change
}

// text returns one line, which ends with the fields.
func (a advice) text(name FieldName) string {
	if len(a.fields) == 0 {
		return a.what
	}
	names := make([]string, len(a.fields))
	for i, field := range a.fields {
		names[i] = name.of(field)
	}
	return a.what + " (" + strings.Join(names, ", ") + ")"
}

// refusal is a way in which the CMS refuses the client itself, and how to fix it.
type refusal struct {
	status int    // 0: any; 3: any of the 3xx
	reason string // ReasonCode of the error body; "": any
	page   string // part of a body that is no error body; "": any
	advice
}

// refusals is what the log, /readyz and doctor say about a refusal, the first row that matches. Reason codes are those
// of Mastercard's gateway (errors and troubleshooting, OAuth 1.0a and mTLS error codes) and of the API's OpenAPI
// document; pages are nginx's, which stands in front of hosts with mutual TLS.
var refusals = []refusal{
	{reason: "AUTHENTICATION_FAILED", advice: fixAuth("check that the consumer key and the signing key belong together " +
		"and to this environment, that the key has not expired, and this machine's clock")},
	{reason: "INVALID_OAUTH_SBS", advice: fixHeader},
	{reason: "INVALID_AUTH_HEADER", advice: fixHeader},
	{reason: "INVALID_BODY_HASH", advice: advice{
		"something on the way to Mastercard adds a body to the calls: check the proxies in between", []string{"Proxy"}}},
	{reason: "OPERATION_DENIED", advice: advice{
		what: "ask Mastercard to enable the operation getContractBalances for this issuer"}},
	{status: http.StatusBadRequest, page: "No required SSL certificate was sent",
		advice: fixCert("the host asks for a client certificate: set one and its key")},
	{status: http.StatusBadRequest, page: "The SSL certificate error", advice: fixCert(
		"the host refuses the client certificate: check it, its expiry and that it is the one registered there")},
	{status: http.StatusBadRequest, page: "The plain HTTP request was sent to HTTPS port",
		advice: fixURL("the CMS's address must start with https://")},
	{status: http.StatusUnauthorized, advice: fixAuth("check the keys and their expiry, and this machine's clock")},
	{status: http.StatusForbidden, advice: advice{"check the keys and their expiry, that Mastercard has enabled " +
		"this API for their project and this issuer, and any proxy in between", []string{"Auth", "Proxy"}}},
	{status: http.StatusNotFound, advice: advice{"check the path of the CMS's address, and that the Mastercard project " +
		"of the consumer key is entitled to this API", []string{"URL", "Auth"}}},
	{status: http.StatusProxyAuthRequired, advice: fixProxy},
	{status: 3, advice: fixURL("redirects are not followed: set the final address of the CMS")},
	{advice: advice{"not an answer about this request: check the CMS's address, the keys and any proxy in between",
		[]string{"URL", "Auth", "Proxy"}}},
}

var (
	fixHeader = fixAuth("check how calls are signed and the consumer key, and that no proxy in between changes the " +
		"Authorization header")
	fixDecryption = advice{"add the private key that it is encrypted for", []string{"Decrypter"}}
	fixProxy      = advice{"check the proxy's address, give its user and password in HTTPS_PROXY, have it allow the " +
		"host of the CMS, or choose another proxy", []string{"Proxy"}}
	fixSigning    = fixAuth("check the signing key")
	fixServerCert = advice{"the server's certificate cannot be trusted: check the CMS's address, the trusted " +
		"authorities and any proxy in between", []string{"URL", "TLS.RootCAs", "Proxy"}}
	fixClientCert = fixCert(
		"the server refuses the client certificate: check it, its expiry and that it is the one registered there")
)

func fixAuth(what string) advice { return advice{what, []string{"Auth"}} }
func fixURL(what string) advice  { return advice{what, []string{"URL"}} }
func fixCert(what string) advice { return advice{what, []string{"TLS.Certificates"}} }

func (r refusal) matches(status int, cms cmsError, page []byte) bool {
	return (r.status == 0 || r.status == status || r.status == status/100) &&
		(r.reason == "" || r.reason == cms.ReasonCode) &&
		(r.page == "" || bytes.Contains(page, []byte(r.page)))
}

// adviceOn says how to fix a refusal; page is the body, where that is no error body.
func adviceOn(status int, cms cmsError, page []byte) advice {
	for _, r := range refusals {
		if r.matches(status, cms, page) {
			return r.advice
		}
	}
	return advice{} // cannot be: the last row matches all
}

// refusesClient reports whether a reason code is about the client, no matter who is named as the source.
func refusesClient(reason string) bool {
	for _, r := range refusals {
		if r.reason != "" && r.reason == reason {
			return true
		}
	}
	return false
}
