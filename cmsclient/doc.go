// Package cmsclient is the HTTP dependency: it asks the Mastercard Processing CMS for the balances of one contract.
//
//	GET {URL}/contracts/{contract_id}/balances?balance_codes=AVAILABLE%2CBLOCKED
//
// The layers, outermost first:
//
//	Admit ─── admission ( halted? ─ cool-down? ─ retry budget? ─ limits of pace? ─ breaker? )   waits; nothing is sent
//	Prepare ─ hedge ( time limit ( sign ( pool ) ) )                                           nothing is sent
//	Wait ──── send
//	Answer ── body limit ─ decrypt ─ decode ─ translate the error ─ report to admission
//
// A caller asks for permission first and decides what to ask for only then, so that the requests that came in while it
// waited can share the one GET and none of them gets an answer older than its question:
//
//	call, err := client.Admit(ctx)
//	defer call.Release()
//	call.Prepare(ctx, query)
//	call.Wait()
//	answer, err := call.Answer(ctx)
//
// Thousands of calls may wait at the same time. What it takes to make one and to read its answer would be on the stack
// of each, if the three steps were one; for a few calls, Get is all three.
//
// Admit never fails because the CMS does: it waits, and Waiting says for what. A call is one attempt, or two at the
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
//
// It is a part of the program, and no API: what is exported changes without notice.
package cmsclient
