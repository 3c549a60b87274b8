package doctor

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A check runs if, and only if, all that it needs passed; the others say what they miss. Order and names are kept.
func TestRun(t *testing.T) {
	var ran []string
	check := func(name string, status Status, needs ...string) Check {
		return Check{name, needs, func(context.Context) Finding {
			ran = append(ran, name)
			return Finding{Status: status, Detail: name + " looked"}
		}}
	}
	checks := []Check{
		check("a", OK), check("b", Warn, "a"), check("c", Fail, "b"), check("d", OK, "a", "c"), check("e", OK, "d", "c"),
		check("f", OK, "b"),
	}
	var got []string
	for r := range Run(t.Context(), checks) {
		got = append(got, r.Name+" "+string(r.Status)+" "+r.Detail)
	}
	want := []string{"a ok a looked", "b warn b looked", "c fail c looked", "d skip needs c", "e skip needs d", "f ok f looked"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"a", "b", "c", "f"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
}

// Each result comes before the next check begins, and whoever stops listening stops the checks.
func TestRunYieldsAtOnce(t *testing.T) {
	var events []string
	var checks []Check
	for _, name := range []string{"a", "b", "c"} {
		checks = append(checks, Check{Name: name, Run: func(context.Context) Finding {
			events = append(events, "run "+name)
			return ok("")
		}})
	}
	for r := range Run(t.Context(), checks) {
		events = append(events, "got "+r.Name)
		if r.Name == "b" {
			break
		}
	}
	if want := []string{"run a", "got a", "run b", "got b"}; !slices.Equal(events, want) {
		t.Errorf("got %q, want %q", events, want)
	}
}

// An interrupted check says nothing: what it found is the interruption.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	checks := []Check{
		{Name: "a", Run: func(context.Context) Finding { return ok("") }},
		{Name: "b", Run: func(ctx context.Context) Finding { cancel(); return fail(ctx.Err().Error(), "") }},
		{Name: "c", Run: func(context.Context) Finding { t.Error("ran"); return ok("") }},
	}
	var got []string
	for r := range Run(ctx, checks) {
		got = append(got, r.Name)
	}
	if !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
}

// What the list promises: names are unique, and a check needs only what stands before it.
func TestChecksAreInOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks(Subject{}) {
		if seen[c.Name] || c.Run == nil {
			t.Errorf("%s: twice, or nothing to run", c.Name)
		}
		for _, need := range c.Needs {
			if !seen[need] {
				t.Errorf("%s needs %s, which comes later or not at all", c.Name, need)
			}
		}
		if len(c.Needs) == 0 && c.Name != configuration {
			t.Errorf("%s needs nothing", c.Name)
		}
		seen[c.Name] = true
	}
	if seen[balance] {
		t.Error("a call without a query")
	}
}

func TestMerge(t *testing.T) {
	tests := map[string]struct {
		in   []Finding
		want Finding
	}{
		"nothing":    {nil, Finding{Status: OK}},
		"one":        {[]Finding{warn("d", "f")}, warn("d", "f")},
		"worst":      {[]Finding{ok("a"), fail("b", "x"), warn("c", "y")}, fail("a\nb\nc", "x\ny")},
		"same twice": {[]Finding{fail("a", "x"), fail("b", "x"), fail("b", "x")}, fail("a\nb", "x")},
		"empty":      {[]Finding{ok(""), ok("a")}, ok("a")},
	}
	for name, tt := range tests {
		if got := merge(tt.in...); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestProblems(t *testing.T) {
	tests := map[string]Finding{
		"cms.url: is not set; set BALANCEQ_CMS_URL (x.yaml:3)": fail("cms.url: is not set", "set BALANCEQ_CMS_URL (x.yaml:3)"),
		"the file is damaged: write it anew":                   fail("the file is damaged", "write it anew"),

		"no fix": fail("no fix", "correct it; balanceq config reference explains the keys"),
	}
	for line, want := range tests {
		if got := problems(Fail, []string{line}); len(got) != 1 || got[0] != want {
			t.Errorf("%q: got %+v, want %+v", line, got, want)
		}
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	tests := []struct {
		left time.Duration
		want string
	}{
		{160 * day, "expires 2027-05-02 (in 160 days)"},
		{2*day - 1, "expires 2026-11-25 (in 1 day)"},
		{day - 1, "expires 2026-11-24 (in less than a day)"},
		{1, "expires 2026-11-23 (in less than a day)"},
		{0, "expired 2026-11-23 (less than a day ago)"},
		{-day, "expired 2026-11-22 (1 day ago)"},
		{-400 * day, "expired 2025-10-19 (400 days ago)"},
	}
	for _, tt := range tests {
		zone := time.FixedZone("x", -11*60*60) // dates are UTC, whatever the certificate's zone
		if got, left := expiry(now, now.Add(tt.left).In(zone)); got != tt.want || left != tt.left {
			t.Errorf("%v: %q, %v, want %q", tt.left, got, left, tt.want)
		}
	}
}

func TestCheckExpiry(t *testing.T) {
	for left, want := range map[time.Duration]Status{
		-time.Hour: Fail, -time.Nanosecond: Fail,
		time.Hour: Warn, connect.ExpiryWarning - time.Hour: Warn, connect.ExpiryWarning + time.Hour: OK,
	} {
		got := checkExpiry("key", time.Now().Add(left), "renew")
		if got.Status != want || !strings.HasPrefix(got.Detail, "key expire") || (got.Fix == "renew") == (want == OK) {
			t.Errorf("%v: %+v, want %s", left, got, want)
		}
	}
}

// Whatever the clocks and the network do, skew never accuses a clock that is right, never claims more than there is, and
// sees all of it but a second and the time that the answer took.
func TestSkewIsCertain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		duration := func(name string, least, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(int64(least), int64(most)).Draw(t, name))
		}
		local := time.Unix(rapid.Int64Range(1e9, 4e9).Draw(t, "seconds"), rapid.Int64Range(0, 1e9-1).Draw(t, "nanoseconds"))
		ahead := duration("ahead", -48*time.Hour, 48*time.Hour)
		there, back := duration("there", 0, 10*time.Second), duration("back", 0, 10*time.Second)

		date := local.Add(there - ahead).Truncate(time.Second) // the other clock, as a header has it
		got := skew(local, local.Add(there+back), date)
		size, truth := got.Abs(), ahead.Abs()
		if size > truth || got != 0 && (got > 0) != (ahead > 0) || truth-size > there+back+time.Second {
			t.Fatalf("skew %v, really %v, round trip %v", got, ahead, there+back)
		}
	})
}

func TestJudgeSkew(t *testing.T) {
	tests := []struct {
		ahead  time.Duration
		status Status
		detail string
	}{
		{0, OK, "within a second of the CMS's"},
		{-999 * time.Millisecond, OK, "within a second of the CMS's"},
		{5 * time.Second, OK, "5s ahead of the CMS"},
		{5*time.Second + 1, Warn, "5s ahead of the CMS: signatures may be refused"},
		{-time.Minute, Warn, "1m0s behind the CMS: signatures may be refused"},
		{-time.Minute - 1, Fail, "1m0s behind the CMS: signatures may be refused"},
		{25 * time.Hour, Fail, "25h0m0s ahead of the CMS: signatures may be refused"},
	}
	for _, tt := range tests {
		got := judgeSkew(tt.ahead)
		if got.Status != tt.status || got.Detail != tt.detail || (got.Fix == "") != (tt.status == OK) {
			t.Errorf("%v: %+v, want %s %q", tt.ahead, got, tt.status, tt.detail)
		}
	}
}
