package deadletter

import (
	"testing"

	"balanceq/schemas"
)

func TestAdviceForEveryReason(t *testing.T) {
	foreign := AdviceFor("some-other-reason")
	seen := map[Advice]schemas.Reason{foreign: "others"}
	for _, reason := range schemas.Reasons {
		a := AdviceFor(reason)
		if a.Means == "" || a.Look == "" || a.Do == "" {
			t.Errorf("%s: %+v", reason, a)
		}
		if other, twice := seen[a]; twice {
			t.Errorf("%s has the advice of %s", reason, other)
		}
		seen[a] = reason
	}
	if len(advice) != len(schemas.Reasons) {
		t.Errorf("advice for %d reasons, there are %d", len(advice), len(schemas.Reasons))
	}
}
