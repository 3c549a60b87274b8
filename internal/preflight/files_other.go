//go:build !unix

package preflight

// openFiles: there is no such limit.
func openFiles() (limit uint64, known bool) { return 0, false }
