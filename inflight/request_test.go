package inflight

import (
	"errors"
	"testing"

	"github.com/balanceq/balanceq/schemas"
)

// What is no valid request has no order to keep, whatever contract could be read of it.
func TestContract(t *testing.T) {
	req := Request{Request: schemas.Request{ContractID: 42}}
	if got := req.Contract(); got != 42 {
		t.Errorf("%d, want 42", got)
	}
	if req.Err = errors.New("balanceCodes: is missing"); req.Contract() != 0 {
		t.Errorf("%d, want 0", req.Contract())
	}
}
