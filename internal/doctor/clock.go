package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

// How wrong the clock may be. How much Mastercard's gateway allows is not documented.
const (
	skewNotice = 5 * time.Second
	skewLimit  = time.Minute
)

func checkClock(ctx context.Context, cfg config.Config) []finding.Finding {
	m, err := meet(ctx, cfg)
	if err != nil {
		return fail(fmt.Sprintf("no answer: %v", err), "check that cms.url is the address of the CMS")
	}
	date, err := http.ParseTime(m.header.Get("Date"))
	if err != nil {
		return warn("the answer has no date to compare with", "compare this machine's clock with another one")
	}
	return compareClocks(skew(m.sent, m.answered, date))
}

// skew returns by how much the local clock is certainly ahead of the clock that wrote date (negative: behind) at some
// moment between sent and answered. Date has whole seconds, cut off: what it means lies in the second that begins with
// it.
func skew(sent, answered, date time.Time) time.Duration {
	if ahead := sent.Sub(date.Add(time.Second)); ahead > 0 {
		return ahead
	}
	if behind := date.Sub(answered); behind > 0 {
		return -behind
	}
	return 0
}

func compareClocks(ahead time.Duration) []finding.Finding {
	size, direction := ahead, "ahead of"
	if ahead < 0 {
		size, direction = -ahead, "behind"
	}
	const fix = "synchronise this machine's clock (NTP)"
	detail := fmt.Sprintf("%v %s the CMS", size.Round(time.Second), direction)
	switch {
	case size > skewLimit:
		return fail(detail+": signatures may be refused", fix)
	case size > skewNotice:
		return warn(detail+": signatures may be refused", fix)
	case size < time.Second:
		return ok("within a second of the CMS's")
	}
	return ok(detail)
}
