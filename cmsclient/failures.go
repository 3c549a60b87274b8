package cmsclient

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// failureSummary is how the CMS fails, for people: what the failures of the breaker were, and since when there are any.
type failureSummary struct {
	since, latest time.Time
	kinds         map[string]int
}

const (
	maxKinds   = 16 // that are told apart
	namedKinds = 3
)

// note counts a failure. fresh says that the breaker is closed: then failures of longer than a window ago are
// forgotten.
func (t *failureSummary) note(kind string, now time.Time, window time.Duration, fresh bool) {
	if t.kinds == nil || fresh && now.Sub(t.latest) > window {
		t.since, t.kinds = now, map[string]int{}
	}
	if _, known := t.kinds[kind]; !known && len(t.kinds) >= maxKinds {
		kind = "other"
	}
	t.latest = now
	t.kinds[kind]++
}

// String returns, for example, "status 503 (12), timeout (3), since 2026-01-02T03:04:05Z"; "" without any.
func (t *failureSummary) String() string {
	if len(t.kinds) == 0 {
		return ""
	}
	order := slices.SortedFunc(maps.Keys(t.kinds), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.kinds[b], t.kinds[a]), cmp.Compare(a, b))
	})
	var texts []string
	for _, kind := range order[:min(namedKinds, len(order))] {
		texts = append(texts, fmt.Sprintf("%s (%d)", kind, t.kinds[kind]))
	}
	return strings.Join(texts, ", ") + ", since " + t.since.UTC().Format(time.RFC3339)
}

// kindOf names a failure that counts for the breaker.
func kindOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Status != 0 {
		if e.Class == Undecodable {
			return "unreadable answer, status " + strconv.Itoa(e.Status)
		}
		return "status " + strconv.Itoa(e.Status)
	}
	return failureClass(err)
}
