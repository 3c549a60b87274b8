// Package schemas holds balanceq's wire contracts: the request that upstream teams publish, the result that downstream
// teams read, the dead letter that operators act on, and the names of headers and reasons; with what reads them
// strictly.
//
// The contracts are version 1 and only ever grow: readers ignore what they do not know. The JSON Schema files in v1/
// say the same thing to other languages, and the tests hold both against the golden examples in v1/examples/.
package schemas
