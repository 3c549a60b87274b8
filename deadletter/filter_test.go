package deadletter

import (
	"regexp"
	"testing"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	value := `{"contractId":70001,"balanceCodes":["AVAILABLE"]}`
	plain := letter(7, value)
	refused := letter(8, value, func(d *schemas.DeadLetter) {
		d.Reason, d.HTTPStatus = schemas.ReasonRequestRejected,
			400
	})
	broken := letter(9, "\xff", func(d *schemas.DeadLetter) {
		d.Reason, d.DecidedAt = schemas.ReasonInvalidRequest,
			noon.Add(time.Hour)
	})
	null := letter(10, "")
	null.Value = nil
	all := []*Letter{plain, refused, broken, null}
	at := func(partition int32, offset int64) []schemas.Position {
		return []schemas.Position{{Partition: partition, Offset: offset}}
	}
	tests := map[string]struct {
		filter Filter
		want   []*Letter
	}{
		"nothing asked": {Filter{}, all},
		"reason":        {Filter{Reasons: []schemas.Reason{schemas.ReasonInvalidRequest}}, []*Letter{broken}},
		"reasons": {Filter{Reasons: []schemas.Reason{schemas.ReasonInvalidRequest,
			schemas.ReasonRequestRejected}}, []*Letter{refused, broken}},
		"status":              {Filter{Statuses: []int{400}}, []*Letter{refused}},
		"no status":           {Filter{Statuses: []int{0}}, []*Letter{plain, broken, null}},
		"since":               {Filter{Since: noon.Add(time.Hour)}, []*Letter{broken}},
		"until":               {Filter{Until: noon.Add(time.Hour)}, []*Letter{plain, refused, null}},
		"contract":            {Filter{Contracts: []int64{1, 70001}}, []*Letter{plain, refused}},
		"grep value":          {Filter{Grep: regexp.MustCompile("AVAIL")}, []*Letter{plain, refused}},
		"grep bytes":          {Filter{Grep: regexp.MustCompile(`^\x{fffd}$`)}, []*Letter{broken}},
		"grep header":         {Filter{Grep: regexp.MustCompile("t-7+$")}, all},
		"grep key":            {Filter{Grep: regexp.MustCompile("^k$")}, all},
		"grep nothing":        {Filter{Grep: regexp.MustCompile("UNKNOWN")}, nil},
		"partition":           {Filter{At: at(2, -1)}, all},
		"another partition":   {Filter{At: at(1, -1)}, nil},
		"offset":              {Filter{At: at(2, 108)}, []*Letter{refused}},
		"offset of the other": {Filter{At: at(2, 8)}, nil},
		"composed": {Filter{Reasons: []schemas.Reason{schemas.ReasonRequestRejected}, Contracts: []int64{70001},
			Statuses: []int{404}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []*Letter
			for _, l := range all {
				if test.filter.Passes(Read(l.Record)) {
					got = append(got, l)
				}
			}
			if len(got) != len(test.want) {
				t.Fatalf("%d pass, want %d", len(got), len(test.want))
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("%v passes, want %v", got[i].Position, test.want[i].Position)
				}
			}
		})
	}
}
