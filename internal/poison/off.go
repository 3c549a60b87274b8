//go:build !race

package poison

// Bytes fills b, up to its capacity.
func Bytes([]byte) {}
