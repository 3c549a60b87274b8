package cmssim

import (
	"strconv"
	"testing"
	"time"
)

// TestNoncesAreBounded: however many there are, memory has an end, and the latest are still known.
func TestNoncesAreBounded(t *testing.T) {
	n := nonces{lifetime: time.Hour}
	now := time.Now()
	const used = 3*maxNonces + 5
	for i := range used {
		if !n.first(strconv.Itoa(i), now) {
			t.Fatalf("nonce %d is new", i)
		}
		if kept := len(n.young) + len(n.old); kept > 2*maxNonces {
			t.Fatalf("%d kept", kept)
		}
	}
	for i := used - maxNonces; i < used; i++ {
		if n.first(strconv.Itoa(i), now) {
			t.Fatalf("nonce %d is forgotten", i)
		}
	}
}
