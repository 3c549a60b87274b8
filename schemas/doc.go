// Package schemas holds balanceq's wire contracts: the request, the result, the dead letter, headers and reasons, and
// what reads them strictly. Upstream teams publish requests, downstream teams read results, operators act on dead
// letters.
//
// The contracts are version 1 and only ever grow: readers ignore what they do not know. The JSON Schema files in v1/
// say the same thing to other languages, and the tests hold both against the golden examples in v1/examples/.
//
// This is public API, as package client is: what is exported here only grows within a major version.
package schemas
