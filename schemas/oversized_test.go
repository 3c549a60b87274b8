package schemas

import (
	"errors"
	"strings"
	"testing"
)

// A record that was not read whole is no valid request, whatever its headers and value would have been; its position
// names it.
func TestOversizedRequest(t *testing.T) {
	rec := &Record{Position: Position{Topic: "requests", Partition: 3, Offset: 17}, Key: []byte("k"),
		Oversized: &Oversized{Why: "it has 5000000 bytes; at most 4194304 are read", Size: 5_000_000, Value: -1, Headers: -1}}
	request, err := DecodeRequest(rec)
	var problem *RequestError
	if !errors.As(err, &problem) || problem.Field != "record" || !strings.Contains(problem.Problem, "5000000 bytes") {
		t.Errorf("error %v", err)
	}
	if request.ID != "requests/3/17" {
		t.Errorf("id %q", request.ID)
	}
}
