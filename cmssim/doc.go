// Package cmssim simulates one operation of the Mastercard Processing Core API, getContractBalances, for staging, tests
// and the demo. The operation is GET {base}/contracts/{contract_id}/balances?balance_codes=A,B. It answers as the
// OpenAPI document 1.1.2 and the sandbox's test cases say, and fails on command.
//
// # Answers
//
// The operation is served under /global-processing/core and at the root. Any other path is the gateway's 404, any other
// method a 405. Every answer carries an opaque X-MC-Correlation-ID. Wordings that the API's pages do not show (405,
// 429, 5xx, a bad code) are this package's; Recoverable is always false, as in Mastercard's own samples, even for 429
// and 500.
//
// # Signatures
//
// A request needs no Authorization unless Config.Verify is set. Then every call must be signed with OAuth 1.0a (RFC
// 5849, one-legged, RSA-SHA256 or RSA-PSS, oauth_body_hash always present); control requests need not. What must be
// signed is the request as it came over the wire, escapes included: a raw comma of the query counts as %2C in the base
// string, a %2C as %252C. Refused is, in this order:
//
//	400 INVALID_AUTH_HEADER    no Authorization header, or one that is broken or incomplete
//	400 INVALID_OAUTH_SBS      no oauth_consumer_key
//	400 INVALID_BODY_HASH      oauth_body_hash is not that of the body
//	401 AUTHENTICATION_FAILED  unknown consumer key, wrong signature, timestamp too far off, nonce used before
//
// Like Mastercard's, the 401 repeats the base string with the consumer key and the whole URL: nothing for a client's
// log. The code is written from the RFC and shares nothing with a client's.
//
// # Encryption
//
// With Config.Encrypt the CMS's answers become {"encryptedData":"<compact JWE>"} (RSA-OAEP-256, A256GCM; kid is the hex
// SHA-256 of the public key's SubjectPublicKeyInfo), errors only on demand. The gateway's errors and bodies that a
// fault brings along stay plain.
//
// # The ledger
//
// Balances are a function of contract id and code: no state, the same in every process, with any seed.
//
//	70001         the sandbox's contract: AVAILABLE and BLOCKED only, with the documented values
//	404…          ids that start with 404 do not exist: 404 CONTRACT_DOES_NOT_EXIST
//	204…          ids that start with 204 exist but hold no balance: 200 with an empty list, as a card contract may
//	999…          ids that start with 999 hold extremes: 18-digit ids, amounts of 18 integer and 4 fraction digits
//	all others    every code in Codes; mixed currencies with 0 to 4 decimals, some negative or zero, and a few balances
//	              without value, without currency or without both
//
// # Faults
//
// Faults are an ordered list of rules; the first that matches a call takes it. They come from AddFault, or from another
// process through the control endpoint:
//
//	POST   /_sim/faults        {"effect":"status","status":503,"count":20}
//	                           {"effect":"status","status":429,"retryAfter":2,"match":{"percent":10}}
//	                           {"effect":"status","status":503,"retryAfter":9,"retryAfterDate":true}
//	                           {"effect":"status","status":404,"body":"<html>Not Found</html>"}
//	                           {"effect":"hang","match":{"contracts":[70001]},"for":"30s"}
//	                           {"outage":"30s"}   or   {"outage":"30s","effect":"reset"}
//	GET    /_sim/faults        the rules, how often each was used and what is left of it
//	DELETE /_sim/faults[/{id}] removes one or all; calls that already hang go on hanging
//	POST   /_sim/latency       {"latency":"20ms","jitter":"10ms"}
//	GET    /_sim/stats         counters; ?by=contract adds calls by contract (only where calls are recorded)
//	POST   /_sim/reset         no faults, counters at zero, latency as configured
//
// A call passes these stages:
//
//	signature (400, 401) -> capacity limit (429) -> first matching fault -> latency and jitter, plus the fault's delay
//	-> effect or answer
//
// Two traps when counting: net/http's Transport silently repeats a GET whose reused connection was reset before the
// first byte, so one client call may use up two resets, or be refused for its nonce; and "every" counts the calls that
// reach its rule, not all calls.
//
// It is a part of the program, and no API: what is exported changes without notice.
package cmssim
