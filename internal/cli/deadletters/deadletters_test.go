package deadletters

import (
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/kafkawire"
)

// Each mistake in a filter names its flag and what to write.
func TestLetterFlagsRefuse(t *testing.T) {
	none := letterFlags{partition: -1, offset: -1}
	tests := map[string]struct {
		change func(*letterFlags)
		want   string
	}{
		"reason":       {func(f *letterFlags) { f.reasons = []string{"expired", "gone"} }, `--reason: "gone" is not known; write one of invalid-request`},
		"since":        {func(f *letterFlags) { f.since = "yesterday" }, "--since: "},
		"until":        {func(f *letterFlags) { f.until = "-1h" }, "--until: "},
		"nothing left": {func(f *letterFlags) { f.since, f.until = "1h", "2h" }, "--since and --until: "},
		"contract":     {func(f *letterFlags) { f.contractIDs = []string{"x"} }, "--contract: "},
		"grep":         {func(f *letterFlags) { f.grep = "(" }, "--grep: "},
		"offset alone": {func(f *letterFlags) { f.offset = 3 }, "--offset: "},
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
	f := letterFlags{reasons: []string{"expired"}, since: "2h", until: "2026-03-01T11:00:00Z", contractIDs: []string{"5"}, partition: 1, offset: -1}
	q, err := f.query(now)
	if err != nil {
		t.Fatal(err)
	}
	if q.from != now.Add(-2*time.Hour).UnixMilli() || !q.Until.Equal(now.Add(-time.Hour)) || len(q.Reasons) != 1 || q.Contracts[0] != 5 ||
		q.At[0].Partition != 1 || q.At[0].Offset != -1 {
		t.Errorf("%+v", q)
	}
	f = letterFlags{partition: -1, offset: -1}
	if q, err = f.query(now); err != nil || q.from != kafkawire.Earliest {
		t.Errorf("%+v, error %v", q, err)
	}
}
