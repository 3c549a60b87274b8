package cmsclient

import (
	"strings"
	"testing"
)

// Each row must be reached: one that stands behind a more general one would never be shown.
func TestRefusalsAreReached(t *testing.T) {
	for _, r := range refusals {
		status := r.status
		switch status {
		case 0:
			status = 418
		case 3:
			status = 307
		}
		got := adviceOn(status, cmsError{ReasonCode: r.reason}, []byte("<html>"+r.page+"</html>"))
		if got.what != r.what {
			t.Errorf("%+v: got %q", r, got)
		}
	}
}

// A refusal of the client itself is told from what refuses a request, and there is always something to do about it.
func TestEveryRefusalHasAFix(t *testing.T) {
	for status := range 1000 {
		for _, reason := range []string{"", "NOT_FOUND", "AUTHENTICATION_FAILED", "CONTRACT_DOES_NOT_EXIST"} {
			fix := adviceOn(status, cmsError{ReasonCode: reason}, nil).text(nil)
			if fix == "" || strings.ContainsAny(fix, "\r\n") || len(fix) > maxDescription {
				t.Errorf("%d %s: %q", status, reason, fix)
			}
		}
	}
	for _, r := range refusals {
		known := cmsError{Source: processing, ReasonCode: r.reason}
		if class := classify(400, known, true); (class == Halting) != (r.reason != "") {
			t.Errorf("a 400 with reason %q is %s", r.reason, class)
		}
	}
}
