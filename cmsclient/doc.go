// Package cmsclient is the HTTP dependency: it asks the Mastercard Processing CMS for the balances of one contract.
//
//	GET {URL}/contracts/{contract_id}/balances?balance_codes=AVAILABLE%2CBLOCKED
//
// The layers, outermost first:
//
//	Admit ─ admission ( halted? ─ cool-down? ─ retry budget? ─ limits of pace? ─ breaker? )   waits; nothing is sent
//	Get ─── hedge ( time limit ( round trip ( sign ( pool ) ) ─ body limit ─ decrypt ─ decode ) )
//	        ─ translate the error ─ report to admission
//
// A caller asks for permission first and decides what to ask for only then, so that the requests that came in while it
// waited can share the one GET and none of them gets an answer older than its question:
//
//	call, err := client.Admit(ctx)
//	defer call.Release()
//	answer, err := call.Get(ctx, query)
//
// Admit never fails because the CMS does: it waits, and Waiting says for what. Get makes one attempt, or two at the
// same time where slow calls are hedged; whether there is another one is the caller's decision, with the Class of the
// *Error, Backoff and AdmitRetry as its means. A signed call on a kept connection that died under it is sent once more,
// with a new signature: net/http would do the same with the old nonce.
//
// What the end of an attempt does:
//
//	                                 breaker    cool-down after 429    halted
//	2xx, Rejected, ContractNotFound  success    short again            ends
//	Undecodable, 408, 5xx            failure    short again            ends
//	no answer (network, timeout)     failure    -                      -
//	Throttled                        -          begins, or longer      ends
//	Halting, Undecryptable           -          short again            begins
//	cancelled by the caller          -          -                      -
package cmsclient
