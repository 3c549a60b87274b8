package deadletters

import (
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
)

// Each mistake in a filter names its flag and what to write.
func TestLetterFlagsRefuse(t *testing.T) {
	none := filterFlags{partition: -1, offset: -1}
	tests := map[string]struct {
		change func(*filterFlags)
		want   string
	}{
		"reason": {func(f *filterFlags) { f.reasons = []string{"expired", "gone"} },
			`--reason: "gone" is not known; write one of invalid-request`},
		"since":        {func(f *filterFlags) { f.since = "yesterday" }, "--since: "},
		"until":        {func(f *filterFlags) { f.until = "-1h" }, "--until: "},
		"nothing left": {func(f *filterFlags) { f.since, f.until = "1h", "2h" }, "--since and --until: "},
		"contract":     {func(f *filterFlags) { f.contractIDs = []string{"x"} }, "--contract: "},
		"grep":         {func(f *filterFlags) { f.grep = "(" }, "--grep: "},
		"offset alone": {func(f *filterFlags) { f.offset = 3 }, "--offset: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := none
			test.change(&f)
			if _, err := f.query(time.Now()); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s…", err, test.want)
			}
		})
	}
}

func TestLetterFlags(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := filterFlags{reasons: []string{"expired"}, since: "2h", until: "2026-03-01T11:00:00Z", contractIDs: []string{"5"},
		partition: 1, offset: -1}
	q, err := f.query(now)
	if err != nil {
		t.Fatal(err)
	}
	if q.from != now.Add(-2*time.Hour).UnixMilli() || !q.Until.Equal(now.Add(-time.Hour)) || len(q.Reasons) != 1 ||
		q.Contracts[0] != 5 ||
		q.At[0].Partition != 1 || q.At[0].Offset != -1 {
		t.Errorf("%+v", q)
	}
	f = filterFlags{partition: -1, offset: -1}
	if q, err = f.query(now); err != nil || q.from != kafkawire.Earliest {
		t.Errorf("%+v, error %v", q, err)
	}
}
