package cmsclient

import (
	"bytes"
	"net/http"
)

// refusal is a way in which we are refused that no request can be blamed for, and how to mend it.
type refusal struct {
	status int    // 0: any; 3: any of the 3xx
	reason string // ReasonCode of the error body; "": any
	page   string // part of a body that is no error body; "": any
	fix    string
}

// refusals is what the log, /readyz and doctor say about a refusal, the first row that matches. Reason codes are those of
// Mastercard's gateway (errors and troubleshooting, OAuth 1.0a and mTLS error codes) and of the API's OpenAPI document;
// pages are nginx's, which stands in front of hosts with mutual TLS.
var refusals = []refusal{
	{reason: "AUTHENTICATION_FAILED", fix: "check that cms.auth.consumer-key and cms.auth.key-file belong together and to this environment, " +
		"that the key has not expired, and this machine's clock"},
	{reason: "INVALID_OAUTH_SBS", fix: "check cms.auth.method and cms.auth.consumer-key, and that no proxy in between changes the Authorization header"},
	{reason: "INVALID_AUTH_HEADER", fix: "check cms.auth.method and cms.auth.consumer-key, and that no proxy in between changes the Authorization header"},
	{reason: "INVALID_BODY_HASH", fix: "something between balanceq and Mastercard adds a body to the calls: check the proxies in between (cms.proxy)"},
	{reason: "OPERATION_DENIED", fix: "ask Mastercard to enable the operation getContractBalances for this issuer"},
	{status: http.StatusBadRequest, page: "No required SSL certificate was sent",
		fix: "the host asks for a client certificate: set cms.tls.cert-file and cms.tls.key-file"},
	{status: http.StatusBadRequest, page: "The SSL certificate error",
		fix: "the host refuses our client certificate: check cms.tls.cert-file, its expiry and that it is the one registered there"},
	{status: http.StatusBadRequest, page: "The plain HTTP request was sent to HTTPS port", fix: "cms.url must start with https://"},
	{status: http.StatusUnauthorized, fix: "check the keys and their expiry (cms.auth.consumer-key, cms.auth.key-file), and this machine's clock"},
	{status: http.StatusForbidden, fix: "check the keys (cms.auth.consumer-key, cms.auth.key-file) and their expiry, " +
		"and that Mastercard has enabled this API for their project and this issuer"},
	{status: http.StatusNotFound, fix: "check the path of cms.url, and that the Mastercard project of cms.auth.consumer-key is entitled to this API"},
	{status: http.StatusProxyAuthRequired, fix: fixProxy},
	{status: 3, fix: "redirects are not followed: set cms.url to the final address"},
	{fix: "not an answer about this request: check cms.url, the keys and any proxy in between"},
}

// fixes of what is not an HTTP answer.
const (
	fixDecryption = "add the private key that it is encrypted for to cms.decryption.key-files"
	fixProxy      = "check the proxy's address, give its user and password in HTTPS_PROXY, have it allow the host of cms.url, or choose another one with cms.proxy"
	fixSigning    = "check cms.auth.key-file"
	fixServerCert = "the server's certificate cannot be trusted: check cms.url, cms.tls.ca-file and any proxy in between"
	fixClientCert = "the server refuses our client certificate: check cms.tls.cert-file, its expiry and that it is the one registered there"
)

func (r refusal) matches(status int, cms cmsError, page []byte) bool {
	return (r.status == 0 || r.status == status || r.status == status/100) &&
		(r.reason == "" || r.reason == cms.ReasonCode) &&
		(r.page == "" || bytes.Contains(page, []byte(r.page)))
}

// fixOf says how to mend a refusal; page is the body, where that is no error body.
func fixOf(status int, cms cmsError, page []byte) string {
	for _, r := range refusals {
		if r.matches(status, cms, page) {
			return r.fix
		}
	}
	return "" // cannot be: the last row matches all
}

// refusesUs reports whether a reason code is about us, whoever says that it is the source.
func refusesUs(reason string) bool {
	for _, r := range refusals {
		if r.reason != "" && r.reason == reason {
			return true
		}
	}
	return false
}
