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
	status        int // of the latest
}

// Failing is how the CMS fails, for people. The zero value: it does not.
type Failing struct {
	Cause  string    `json:"cause"`            // the most frequent kinds, with their counts: "status 503 (12), timeout (3)"
	Status int       `json:"status,omitempty"` // of the last answer in error; 0: the last failure was no answer
	Since  time.Time `json:"since"`
}

// String returns, for example, "status 503 (12), timeout (3), since 2026-01-02T03:04:05Z"; "" for none.
func (f Failing) String() string {
	if f.Cause == "" {
		return ""
	}
	return f.Cause + ", since " + f.Since.UTC().Format(time.RFC3339)
}

const (
	maxKinds   = 16 // that are told apart
	namedKinds = 3
)

// note counts a failure. fresh says that the breaker is closed: then failures of longer than a window ago are
// forgotten.
func (t *failureSummary) note(kind string, status int, now time.Time, window time.Duration, fresh bool) {
	if t.kinds == nil || fresh && now.Sub(t.latest) > window {
		t.since, t.kinds = now, map[string]int{}
	}
	if _, known := t.kinds[kind]; !known && len(t.kinds) >= maxKinds {
		kind = "other"
	}
	t.latest, t.status = now, status
	t.kinds[kind]++
}

// summary is what there is to say of them.
func (t *failureSummary) summary() Failing {
	if len(t.kinds) == 0 {
		return Failing{}
	}
	order := slices.SortedFunc(maps.Keys(t.kinds), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.kinds[b], t.kinds[a]), cmp.Compare(a, b))
	})
	var texts []string
	for _, kind := range order[:min(namedKinds, len(order))] {
		texts = append(texts, fmt.Sprintf("%s (%d)", kind, t.kinds[kind]))
	}
	return Failing{Cause: strings.Join(texts, ", "), Status: t.status, Since: t.since.UTC().Truncate(time.Second)}
}

// kindOf names a failure that counts for the breaker. status is 0 where there was no answer.
func kindOf(err error) (kind string, status int) {
	if e, ok := errors.AsType[*Error](err); ok && e.Status != 0 {
		if e.Class == Undecodable {
			return "unreadable answer, status " + strconv.Itoa(e.Status), e.Status
		}
		return "status " + strconv.Itoa(e.Status), e.Status
	}
	return failureClass(err), 0
}
