//go:build race

package poison

// Bytes fills b, up to its capacity.
func Bytes(b []byte) {
	b = b[:cap(b)]
	for i := range b {
		b[i] = With
	}
}
