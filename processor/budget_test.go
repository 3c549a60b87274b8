package processor

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/schemas"
)

var budgetEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// outcomes is what the model of a budget remembers of a moment.
type outcomes struct {
	at               time.Time
	letters, results int
}

// budgetModel knows each outcome's time exactly, where the budget knows buckets.
type budgetModel struct {
	*rapid.T
	cfg      BudgetConfig
	outcomes []outcomes
	spent    bool
	resumed  time.Time // zero: it was never
	held     int
	trips    uint64
}

// counts returns the outcomes that are younger than age.
func (m *budgetModel) counts(now time.Time, age time.Duration) (letters, results int) {
	for _, o := range m.outcomes {
		if now.Sub(o.at) < age {
			letters += o.letters
			results += o.results
		}
	}
	return letters, results
}

// note remembers outcomes.
func (m *budgetModel) note(o outcomes) {
	if n := len(m.outcomes); n > 0 && m.outcomes[n-1].at.Equal(o.at) {
		m.outcomes[n-1].letters += o.letters
		m.outcomes[n-1].results += o.results
		return
	}
	m.outcomes = append(m.outcomes, o)
}

func (m *budgetModel) tooMany(letters, results int) bool {
	return letters >= budgetFloor && float64(letters) > m.cfg.Share*float64(letters+results)
}

// letter holds one call of take against what is known. The budget may forget up to a bucket early, but never remembers
// more.
func (m *budgetModel) letter(b *budget, now time.Time) {
	refused := b.take(now, schemas.ReasonInvalidRequest) != nil
	if m.spent {
		m.held++
		if !refused {
			m.Fatal("a dead letter passes while the budget is spent")
		}
		return
	}
	most, results := m.counts(now, m.cfg.Window)
	least, fewest := m.counts(now, m.cfg.Window-m.cfg.Window/buckets)
	switch trips := b.trips > m.trips; {
	case trips != refused:
		m.Fatalf("tripped %v, refused %v", trips, refused)
	case trips && most+1 < budgetFloor:
		m.Fatalf("tripped by %d dead letters", most+1)
	case trips && !m.tooMany(most+1, fewest):
		m.Fatalf("tripped by %d dead letters, %d results", most+1, fewest)
	case trips && !m.resumed.IsZero() && now.Sub(m.resumed) < m.cfg.Window:
		m.Fatalf("tripped %v after it was resumed", now.Sub(m.resumed))
	case !trips && m.resumed.IsZero() && m.tooMany(least+1, results):
		m.Fatalf("not tripped by %d dead letters, %d results", least+1, results)
	case trips:
		m.spent, m.trips, m.held = true, m.trips+1, 1
		return
	}
	m.note(outcomes{at: now, letters: 1})
}

// Whatever comes in whatever order: no dead letter passes while the budget is spent, fewer than 100 never spend it,
// more than the share always do (within a bucket), nothing but resuming ends it, and after that it leaves a window of
// peace.
func TestBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := BudgetConfig{
			Share:  rapid.SampledFrom([]float64{0, .01, .1, .5, .9, .99, 1}).Draw(t, "share"),
			Window: time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second,
		}
		now := budgetEpoch
		b := newBudget(cfg, zerolog.Nop(), now)
		m := &budgetModel{T: t, cfg: cfg}
		t.Repeat(map[string]func(*rapid.T){
			"letters": func(t *rapid.T) {
				for range rapid.IntRange(1, 150).Draw(t, "n") {
					m.letter(b, now)
				}
			},
			"results": func(t *rapid.T) {
				for range rapid.IntRange(1, 150).Draw(t, "n") {
					b.answer(now)
					m.note(outcomes{at: now, results: 1})
				}
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(cfg.Window)*3/2).Draw(t, "passes")))
			},
			"moment": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(cfg.Window)/30).Draw(t, "passes")))
			},
			"resume": func(t *rapid.T) {
				waits := b.resumed
				was, resumed := b.resume(now, "me")
				if resumed != m.spent || was == "" {
					t.Fatalf("resumed %v, was %q; spent %v", resumed, was, m.spent)
				}
				if resumed {
					select {
					case <-waits:
					default:
						t.Fatal("no waiter was woken")
					}
					m.spent, m.resumed, m.outcomes = false, now, nil
				}
			},
			"": func(t *rapid.T) {
				s := b.status(now)
				if s.Spent() != m.spent || s.Trips != m.trips || m.spent && s.Held != m.held ||
					!m.spent && s.Held != 0 {
					t.Fatalf("%+v; spent %v, held %d, trips %d", s, m.spent, m.held, m.trips)
				}
				least, fewest := m.counts(now, cfg.Window-cfg.Window/buckets)
				most, results := m.counts(now, cfg.Window)
				if b.recent.letters < least || b.recent.letters > most || b.recent.results < fewest || b.recent.results > results {
					t.Fatalf("%d dead letters, %d results; want %d to %d, %d to %d", b.recent.letters, b.recent.results, least, most,
						fewest, results)
				}
				if cfg.Share == 1 && m.trips > 0 {
					t.Fatal("no limit, and it tripped")
				}
			},
		})
	})
}

// The incident that was looked at does not pause again; the next one does.
func TestBudgetArmsAgain(t *testing.T) {
	var log bytes.Buffer
	now := budgetEpoch
	b := newBudget(BudgetConfig{Share: .5, Window: time.Minute}, zerolog.New(&log), now)
	flood := func(n int) (passed int) {
		for range n {
			if b.take(now, schemas.ReasonExpired) == nil {
				passed++
			}
		}
		return passed
	}
	if n := flood(300); n != budgetFloor-1 {
		t.Errorf("%d dead letters passed before it was spent", n)
	}
	if _, resumed := b.resume(now, "ann@desk"); !resumed {
		t.Error("not resumed")
	}
	for range 10 { // the incident goes on, for longer than a window
		now = now.Add(20 * time.Second)
		if n := flood(300); n != 300 {
			t.Fatalf("%d of 300 passed, %v after it was resumed", n, now.Sub(budgetEpoch))
		}
	}
	now = now.Add(59 * time.Second)
	b.status(now)
	if strings.Contains(log.String(), "armed again:") {
		t.Errorf("armed too early: %s", log.String())
	}
	now = now.Add(time.Second)
	b.status(now)
	if n := flood(300); n != budgetFloor-1 {
		t.Errorf("%d dead letters passed in the next incident", n)
	}
	for _, want := range []string{"they are held", `"by":"ann@desk"`, "armed again:"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in %s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 4 {
		t.Errorf("%d lines, want 4: %s", n, log.String())
	}
}

// What spent it is said with numbers, reasons and what to do.
func TestBudgetSaysWhy(t *testing.T) {
	var log bytes.Buffer
	b := newBudget(BudgetConfig{Share: .1, Window: 5 * time.Minute}, zerolog.New(&log), budgetEpoch)
	for range 300 {
		b.answer(budgetEpoch)
	}
	for i := range 200 {
		reason := schemas.ReasonContractNotFound
		if i%4 == 0 {
			reason = schemas.ReasonExpired
		}
		b.take(budgetEpoch, reason)
	}
	const why = "100 of 400 requests within 5m0s would be dead letters (contract-not-found 75, expired 25), more than " +
		"the budget (0.1) " +
		"allows; find out why with balanceq deadletters list, then go on with balanceq resume"
	if s := b.status(budgetEpoch); s.Why != why || s.Held != 101 || s.Trips != 1 {
		t.Errorf("%+v", s)
	}
	for _, want := range []string{`"level":"error"`, `"deadletters":100`, `"outcomes":400`, `"share":0.25`, `"budget":0.1`,
		`"reasons":"contract-not-found 75, expired 25"`, "balanceq deadletters list", "balanceq resume"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("%s is not once in %s", want, log.String())
		}
	}
}

// However far the time moves on at once, what is too old is forgotten, and nothing else.
func TestRecentForgets(t *testing.T) {
	for moves := range int64(3 * buckets) {
		r := newRecent(time.Minute, budgetEpoch)
		for i := range time.Duration(2 * buckets) {
			r.advance(budgetEpoch.Add(i * r.width))
			r.addResult()
			r.addLetter(schemas.ReasonExpired)
		}
		r.advance(budgetEpoch.Add(time.Duration(2*buckets-1+moves) * r.width))
		want := max(0, buckets-int(moves))
		if r.results != want || r.letters != want || r.reasons()[schemas.ReasonExpired] != want {
			t.Fatalf("%d buckets later: %d results, %d dead letters, want %d", moves, r.results, r.letters, want)
		}
		r.advance(budgetEpoch) // back in time
		if r.results != want {
			t.Fatalf("%d results, want %d", r.results, want)
		}
	}
}

// Counting is on the way of every record.
func TestBudgetDoesNotAllocate(t *testing.T) {
	now := budgetEpoch
	b := newBudget(BudgetConfig{Share: .5, Window: time.Minute}, zerolog.Nop(), now)
	count := func() {
		for _, reason := range schemas.Reasons {
			now = now.Add(300 * time.Millisecond)
			b.answer(now)
			b.answer(now)
			b.take(now, reason)
		}
	}
	for range 100 {
		count()
	}
	if n := testing.AllocsPerRun(1000, count); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
