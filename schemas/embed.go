package schemas

import "embed"

// Files holds the JSON Schema (draft 2020-12) files of version 1 and their golden examples, for the command line and
// for tests: v1/balance-request.schema.json, v1/balance-result.schema.json, v1/balance-deadletter-headers.schema.json,
// and the folders below v1/examples.
//
//go:embed v1
var Files embed.FS

//go:embed v1/balance-result.schema.json
var resultSchema string

// ResultSchema is the text of the JSON Schema of results, as a schema registry has it.
func ResultSchema() string { return resultSchema }
