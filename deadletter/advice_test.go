package deadletter

import (
	"slices"
	"testing"

	"github.com/balanceq/balanceq/schemas"
)

func TestAdviceForEveryReason(t *testing.T) {
	t.Parallel()
	foreign := AdviceFor("some-other-reason")
	seen := map[Advice]schemas.Reason{foreign: "others", foreign: "none"}
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

// A reader of the advice for one record can type what it ends with.
func TestAdviceOfLetter(t *testing.T) {
	t.Parallel()
	l := letter(7, "x", func(d *schemas.DeadLetter) { d.Reason = schemas.ReasonExpired })
	want := []string{"balanceq deadletters replay --partition 2 --offset 107",
		"balanceq deadletters replay --partition 2 --offset 107 --edit --execute"}
	if got := l.Advice().Commands(l.Position); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	unknown := Read(&schemas.Record{Value: []byte("x")})
	if a := unknown.Advice(); a != foreign || a.Commands(unknown.Position) != nil {
		t.Errorf("of a record that is no dead letter: %+v", a)
	}
	others := Read(&schemas.Record{Headers: []schemas.Header{{Key: schemas.HeaderErrorsGroup, Value: []byte("g")}}})
	if a := others.Advice(); a != AdviceFor("") || len(a.Commands(others.Position)) != 2 {
		t.Errorf("of another writer's: %+v", a)
	}
}
