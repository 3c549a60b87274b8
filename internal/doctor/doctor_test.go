package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A check runs if, and only if, all that it needs passed; the others say what they miss. Order and names are kept.
func TestRun(t *testing.T) {
	var ran []string
	check := func(name string, status Status, needs ...string) Check {
		return Check{name, needs, nil, func(context.Context) []finding.Finding {
			ran = append(ran, name)
			severity := finding.Severity(slices.Index(statuses[:], status))
			return []finding.Finding{{Severity: severity, What: name + " looked"}}
		}}
	}
	checks := []Check{
		check("a", OK), check("b", Warn, "a"), check("c", Fail, "b"), check("d", OK, "a", "c"), check("e", OK, "d", "c"),
		check("f", OK, "b"),
	}
	var got []string
	for r := range Run(t.Context(), checks, nil) {
		got = append(got, r.Name+" "+string(r.Status)+" "+r.Detail)
	}
	want := []string{"a ok a looked", "b warn b looked", "c fail c looked", "d skip needs c", "e skip needs d",
		"f ok f looked"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"a", "b", "c", "f"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
}

// What is wrong in the configuration is missed by the checks that need it, by name or by section, and by no others;
// where it is not known what is wrong, by all that need anything.
func TestRunWithoutSomeKeys(t *testing.T) {
	for wrong, want := range map[string]string{
		"cms.tls.ca-file": "b skip needs cms.tls.ca-file, c skip needs cms.tls.ca-file",
		"cms.timeout":     "c skip needs cms.timeout",
		"cms":             "b skip needs cms, c skip needs cms",
		"cmsx.tls":        "",
		"log.level":       "",
		"":                "b skip needs configuration, c skip needs configuration, d skip needs configuration",
	} {
		problem := config.Problem{Keys: []string{wrong}}
		if wrong == "" {
			problem.Keys = nil
		}
		var skipped []string
		for r := range Run(t.Context(), []Check{
			{Name: "a", Run: func(context.Context) []finding.Finding { return ok("") }},
			{Name: "b", Keys: []string{"cms.tls"}, Run: func(context.Context) []finding.Finding { return ok("") }},
			{Name: "c", Keys: []string{"cms"}, Run: func(context.Context) []finding.Finding { return ok("") }},
			{Name: "d", Keys: []string{"kafka"}, Run: func(context.Context) []finding.Finding { return ok("") }},
		}, []config.Problem{problem}) {
			if r.Status == Skip {
				skipped = append(skipped, r.Name+" skip "+r.Detail)
			}
		}
		if got := strings.Join(skipped, ", "); got != want {
			t.Errorf("%s: %s, want %s", wrong, got, want)
		}
	}
}

// Each result comes before the next check begins, and to stop listening stops the checks.
func TestRunYieldsAtOnce(t *testing.T) {
	var events []string
	var checks []Check
	for _, name := range []string{"a", "b", "c"} {
		checks = append(checks, Check{Name: name, Run: func(context.Context) []finding.Finding {
			events = append(events, "run "+name)
			return ok("")
		}})
	}
	for r := range Run(t.Context(), checks, nil) {
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
		{Name: "a", Run: func(context.Context) []finding.Finding { return ok("") }},
		{Name: "b", Run: func(ctx context.Context) []finding.Finding { cancel(); return fail(ctx.Err().Error(), "") }},
		{Name: "c", Run: func(context.Context) []finding.Finding { t.Error("ran"); return ok("") }},
	}
	var got []string
	for r := range Run(ctx, checks, nil) {
		got = append(got, r.Name)
	}
	if !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
}

// What the list promises: names are unique, and a check needs only what stands before it.
func TestChecksAreInOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks(Subject{Loaded: &config.Loaded{}}) {
		if seen[c.Name] || c.Run == nil {
			t.Errorf("%s: twice, or nothing to run", c.Name)
		}
		for _, need := range c.Needs {
			if !seen[need] {
				t.Errorf("%s needs %s, which comes later or not at all", c.Name, need)
			}
		}
		if len(c.Needs)+len(c.Keys) == 0 && c.Name != configuration {
			t.Errorf("%s needs nothing", c.Name)
		}
		for _, key := range c.Keys {
			if all := config.Reference(); !strings.Contains(all, "`"+key+"`") && !strings.Contains(all, "`"+key+".") {
				t.Errorf("%s needs %s, which is no key and no section", c.Name, key)
			}
		}
		seen[c.Name] = true
	}
	if seen[balance] {
		t.Error("a call without a query")
	}
}

func TestSummary(t *testing.T) {
	tests := map[string]struct {
		in   [][]finding.Finding
		want Result
	}{
		"nothing":    {nil, Result{"", OK, "", ""}},
		"one":        {[][]finding.Finding{warn("d", "f")}, Result{"", Warn, "d", "f"}},
		"worst":      {[][]finding.Finding{ok("a"), fail("b", "x"), warn("c", "y")}, Result{"", Fail, "a\nb\nc", "x\ny"}},
		"same twice": {[][]finding.Finding{fail("a", "x"), fail("b", "x"), fail("b", "x")}, Result{"", Fail, "a\nb", "x"}},
		"empty":      {[][]finding.Finding{ok(""), ok("a")}, Result{"", OK, "a", ""}},
		"a key": {[][]finding.Finding{{{Key: "cms.url", What: "is not set", Fix: "set it", From: []string{"x.yaml:3"},
			Severity: finding.Fail}}}, Result{"", Fail, "cms.url: is not set", "set it (x.yaml:3)"}},
	}
	for name, tt := range tests {
		if got := summary("", slices.Concat(tt.in...)); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

// Whatever a broker or a file says, what is wrong and its fix stay apart: no semicolon or colon in it ends a sentence.
func TestErrorsStayInParts(t *testing.T) {
	const said = "Not authorized; try: later; or not"
	broken := func(context.Context, *preflight.Cluster) ([]finding.Finding, error) {
		return nil, preflight.Unasked(config.Kafka{Brokers: []string{"k1:9092"}}, errors.New(said))
	}
	got := summary("brokers", fromRun(broken)(t.Context(), config.Config{}))
	want := Result{"brokers", Fail, "asking Kafka at k1:9092: " + said, preflight.KafkaFix(errors.New(said))}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = summary("", failed(errors.New(said), "try again"))
	if want := (Result{"", Fail, said, "try again"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
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
		got := summary("", []finding.Finding{checkExpiry("key", time.Now().Add(left), "renew")})
		if got.Status != want || !strings.HasPrefix(got.Detail, "key expire") || (got.Fix == "renew") == (want == OK) {
			t.Errorf("%v: %+v, want %s", left, got, want)
		}
	}
}

// Whatever the clocks and the network do, skew never accuses a clock that is right, never claims more than there is,
// and sees all of it but a second and the time that the answer took.
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

func TestCompareClocks(t *testing.T) {
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
		got := summary("", compareClocks(tt.ahead))
		if got.Status != tt.status || got.Detail != tt.detail || (got.Fix == "") != (tt.status == OK) {
			t.Errorf("%v: %+v, want %s %q", tt.ahead, got, tt.status, tt.detail)
		}
	}
}
