// Package cmsclient is the HTTP dependency: it asks the Mastercard Processing CMS for the balances of one contract.
//
//	GET {cms.url}/contracts/{contract_id}/balances?balance_codes=AVAILABLE%2CBLOCKED
//
// The layers, outermost first:
//
//	Admit ─ gate ( halted? ─ cool-down? ─ circuit breaker? ─ in-flight limit? )   waits; nothing is sent
//	Get ─── time limit ( round trip ( body limit ( decode ) ) ) ─ translate the error ─ report to the gate
//
// A caller asks for permission first and decides what to ask for only then, so that the requests that came in while it
// waited can share the one GET and none of them gets an answer older than its question:
//
//	call, err := client.Admit(ctx)
//	defer call.Release()
//	answer, err := call.Get(ctx, query)
//
// Admit never fails because the CMS does: it waits, and Waiting says for what. Get makes exactly one attempt; whether there
// is another one is the caller's decision, with the Class of the *Error and Backoff as its means.
//
// What the end of an attempt does to the three gates:
//
//	                                 breaker    cool-down after 429    halted
//	2xx, Rejected, ContractNotFound  success    short again            ends
//	Undecodable, 408, 5xx            failure    short again            ends
//	no answer (network, timeout)     failure    -                      -
//	Throttled                        -          begins, or longer      ends
//	Halting                          -          short again            begins
//	cancelled by the caller          -          -                      -
package cmsclient
