package deadletter

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/schemas"
)

// Grouping says by what letters are counted.
type Grouping string

// The groupings.
const (
	ByReason    Grouping = "reason"
	ByStatus    Grouping = "status"     // HTTP status of the last CMS answer
	ByCMSReason Grouping = "cms-reason" // reason code of the last CMS answer
	ByContract  Grouping = "contract"
	ByTime      Grouping = "time" // buckets of Tally.Bucket
)

// Groupings lists them in the order of documentation.
var Groupings = []Grouping{ByReason, ByStatus, ByCMSReason, ByContract, ByTime}

// maxGroups bounds the memory of a Tally: a topic may name millions of contracts.
const maxGroups = 100_000

// Group is how many letters have one key.
type Group struct {
	Key         string // "" where letters do not tell
	Count       int64
	First, Last time.Time // times of the oldest and of the youngest letter
}

func (g *Group) add(at time.Time) {
	g.Count++
	if g.First.IsZero() || at.Before(g.First) {
		g.First = at
	}
	if at.After(g.Last) {
		g.Last = at
	}
}

// Tally counts letters by groups.
type Tally struct {
	By     Grouping
	Bucket time.Duration // width of the groups by time, from midnight UTC on
	Total  Group
	// Beyond are the letters of groups that were found when there were 100,000 already: their keys are not kept.
	Beyond Group
	groups map[string]*Group
}

// Add counts a letter.
func (t *Tally) Add(l *Letter) {
	t.Total.add(l.Time)
	key := t.key(l)
	key = key[:min(len(key), schemas.MaxDetail)] // other writers' headers may be long
	g := t.groups[key]
	if g == nil {
		if len(t.groups) >= maxGroups {
			t.Beyond.add(l.Time)
			return
		}
		if t.groups == nil {
			t.groups = map[string]*Group{}
		}
		key = strings.Clone(key) // not the whole of a long header
		g = &Group{Key: key}
		t.groups[key] = g
	}
	g.add(l.Time)
}

// Groups returns the groups, the largest first; those by time in order.
func (t *Tally) Groups() []Group {
	groups := make([]Group, 0, len(t.groups))
	for g := range maps.Values(t.groups) {
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		if t.By == ByTime {
			return cmp.Compare(a.Key, b.Key)
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	return groups
}

// key is made of what is written in the letter: show it as any text of others.
func (t *Tally) key(l *Letter) string {
	switch t.By {
	case ByReason:
		return l.text(schemas.HeaderReason)
	case ByStatus:
		return l.text(schemas.HeaderHTTPStatus)
	case ByCMSReason:
		return l.text(schemas.HeaderCMSReason)
	case ByContract:
		r, _ := l.Request()
		if r.ContractID == 0 {
			return ""
		}
		return strconv.FormatInt(r.ContractID, 10)
	case ByTime:
		return l.Time.UTC().Truncate(t.Bucket).Format(time.RFC3339)
	}
	return ""
}
