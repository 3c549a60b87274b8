package processor

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/schemas"
)

// CauseBudget is the cause of waiting while the dead-letter budget is spent; the other causes are cmsclient's.
const CauseBudget = "dead-letter-budget"

// BudgetConfig says how many dead letters are too many. The zero value sets no limit.
type BudgetConfig struct {
	Share  float64 // of the outcomes of a window that may be dead letters; 1: no limit
	Window time.Duration
}

// budgetFloor is from how many dead letters in a window on there can be too many: a share of a few requests says
// nothing.
const budgetFloor = 100

// budget stops dead-lettering when too large a share of the latest outcomes would be dead letters. That is a fault
// upstream or here, not so many faulty requests, and it must not empty the request topic into the dead letters before
// an operator looks.
//
// Spent, it stays so until an operator resumes. Then it counts from 0 again, and trips again only for another incident:
// when a whole window has passed since the resuming, and since the last dead letter that was too many, it is armed
// again.
type budget struct {
	cfg BudgetConfig
	log zerolog.Logger

	mu       sync.Mutex
	recent   recent
	state    budgetState
	exceeded time.Time     // while grace: of the last dead letter that was too many, else of the resuming
	resumed  chan struct{} // closed by the next resuming
	held     int           // dead letters that wait for it
	trips    uint64
	why      string // what spent it, and what to do
}

type budgetState int

const (
	armed budgetState = iota
	spent             // no dead letter may be handed in
	grace             // resumed: this incident has been looked at
)

func newBudget(cfg BudgetConfig, log zerolog.Logger, now time.Time) *budget {
	if cfg.Window <= 0 {
		cfg = BudgetConfig{Share: 1, Window: time.Minute}
	}
	return &budget{cfg: cfg, log: log, recent: newRecent(cfg.Window, now), resumed: make(chan struct{})}
}

// answer counts a result.
func (b *budget) answer(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	b.recent.addResult()
}

// take counts a dead letter that may be handed in, and returns nil. If it may not, it is not counted: take it again
// when the channel is closed.
func (b *budget) take(now time.Time, reason schemas.Reason) (resumed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	due := b.recent.letters + 1
	tooMany := due >= budgetFloor && float64(due) > b.cfg.Share*float64(due+b.recent.results)
	switch {
	case b.state == armed && tooMany:
		b.trip(reason)
	case b.state == grace && tooMany:
		b.exceeded = now
	}
	if b.state == spent {
		b.held++
		return b.resumed
	}
	b.recent.addLetter(reason)
	return nil
}

// trip spends the budget; reason is that of the dead letter that is one too many. It requires mu.
func (b *budget) trip(reason schemas.Reason) {
	b.state = spent
	b.trips++
	letters, reasons := b.recent.letters+1, b.recent.reasons()
	reasons[reason]++
	outcomes, top := letters+b.recent.results, ranked(reasons)
	b.why = fmt.Sprintf("%d of %d requests within %v would be dead letters (%s), more than the budget (%v) allows; "+
		"find out why with balanceq deadletters list, then go on with balanceq resume",
		letters, outcomes, b.cfg.Window, top, b.cfg.Share)
	b.log.Error().Str("event", "dead_letter_budget_spent").Int("deadletters", letters).Int("outcomes", outcomes).
		Float64("share", rounded(letters, outcomes)).Float64("budget", b.cfg.Share).
		Int64("window_ms", b.cfg.Window.Milliseconds()).Str("reasons", top).
		Msg("too many dead letters: they are held, and none is written until an operator resumes; " +
			"find out why with balanceq deadletters list, then go on with balanceq resume")
}

// rounded returns a share with three digits: it is for people.
func rounded(part, whole int) float64 { return math.Round(1000*float64(part)/float64(whole)) / 1000 }

// resume lets dead letters pass again, and starts counting from 0 again. It returns what had spent the budget, or that
// nothing had.
func (b *budget) resume(now time.Time, who string) (was string, resumed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	if b.state != spent {
		return "it was not paused: the dead-letter budget is not spent", false
	}
	was = b.why
	b.log.Info().Str("event", "dead_letter_budget_resumed").Str("by", who).Int("held", b.held).
		Int64("window_ms", b.cfg.Window.Milliseconds()).
		Msg("resumed: what was held is asked for once more; the dead-letter budget is armed again after a whole window " +
			"without too many dead letters")
	b.state, b.exceeded, b.held, b.why = grace, now, 0, ""
	b.recent = newRecent(b.cfg.Window, now)
	close(b.resumed)
	b.resumed = make(chan struct{})
	return was, true
}

// advance lets time pass. It requires mu.
func (b *budget) advance(now time.Time) {
	b.recent.advance(now)
	if b.state == grace && now.Sub(b.exceeded) >= b.cfg.Window {
		b.state = armed
		b.log.Info().Str("event", "dead_letter_budget_armed").
			Msg("the dead-letter budget is armed again: a whole window has passed without too many dead letters")
	}
}

// spends reports whether dead letters of that reason spend the budget. What is wrong with the record itself does not:
// looking sooner would change nothing about it, and a publisher of nonsense could stop all others.
func spends(reason schemas.Reason) bool {
	return reason != schemas.ReasonInvalidRequest && reason != schemas.ReasonExpired
}

// leave notes that a dead letter waits no longer, though the channel that take returned for it was not closed. Channels
// that are not take's change nothing.
func (b *budget) leave(resumed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resumed == resumed && b.held > 0 {
		b.held--
	}
}

// BudgetStatus is a snapshot of the dead-letter budget.
type BudgetStatus struct {
	Why   string  // what has spent it, and what to do; "": it is not spent
	Share float64 // of dead letters among the outcomes of the window; 0 where there are none
	Held  int     // dead letters that are decided and wait for an operator
	Trips uint64  // how many times it was spent
}

// Spent says whether dead letters are held.
func (s BudgetStatus) Spent() bool { return s.Why != "" }

func (b *budget) status(now time.Time) BudgetStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now)
	return BudgetStatus{Why: b.why, Share: b.recent.share(), Held: b.held, Trips: b.trips}
}

// ranked lists reasons with their counts, the most frequent first.
func ranked(reasons map[schemas.Reason]int) string {
	order := slices.SortedFunc(maps.Keys(reasons), func(a, b schemas.Reason) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b))
	})
	texts := make([]string, len(order))
	for i, reason := range order {
		texts[i] = fmt.Sprintf("%s %d", reason, reasons[reason])
	}
	return strings.Join(texts, ", ")
}
