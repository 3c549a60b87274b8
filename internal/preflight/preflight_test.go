package preflight

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// expected is what a test wants of a finding: words of the problem and of the fix. passing ones are fatal too.
type expected struct {
	fatal, passing bool
	problem, fix   []string
}

func wantFindings(t *testing.T, got []finding.Finding, want ...expected) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d: %v", len(got), len(want), got)
	}
	for i, f := range got {
		severity := finding.Warn
		if want[i].fatal || want[i].passing {
			severity = finding.Fail
		}
		if f.Severity != severity || f.Passing != want[i].passing {
			t.Errorf("%v: severity %v, passing %v", f, f.Severity, f.Passing)
		}
		for _, word := range want[i].problem {
			if !strings.Contains(f.Text(), word) {
				t.Errorf("the problem does not say %q: %s", word, f.Text())
			}
		}
		for _, word := range want[i].fix {
			if !strings.Contains(f.Fix, word) {
				t.Errorf("the fix does not say %q: %s", word, f.Fix)
			}
		}
	}
}

func TestObstacles(t *testing.T) {
	classic := func(strategy string, ids ...string) inspect.Group {
		return inspect.Group{Type: inspect.ClassicType, Strategy: strategy, Members: membersOf(ids...)}
	}
	members := func(ids ...string) inspect.Group { return inspect.Group{Consumer: true, Members: membersOf(ids...)} }
	held := expected{passing: true, problem: []string{"group g is held by 3 members, client id app (2 times), us",
		"by range and this instance by balanceq-sticky"},
		fix: []string{"stop them first (all of them", "kafka.group"}}
	strangers := expected{problem: []string{"another client id than us: app;"}, fix: []string{"kafka.client-id"}}
	tests := map[string]struct {
		protocol string
		group    inspect.Group
		policy   string
		want     []expected
	}{
		"no member":     {config.GroupClassic, inspect.Group{}, "", nil},
		"all have left": {config.GroupClassic, classic(""), "", nil},
		"instances":     {config.GroupClassic, classic(group.Strategy, "us", "eu"), "", nil},
		"another strategy": {config.GroupClassic, classic("range", "app", "us", "app"), "bidirectional",
			[]expected{held}},
		"not known yet":        {config.GroupClassic, classic("", "us"), "", nil},
		"consumer members":     {config.GroupClassic, members("us"), "downgrade", nil},
		"consumer strangers":   {config.GroupClassic, members("us", "app"), "", []expected{strangers}},
		"consumer to consumer": {config.GroupConsumer, members("app"), "disabled", []expected{strangers}},
		"instances change":     {config.GroupConsumer, classic(group.Strategy, "us"), "bidirectional", nil},
		"policy not known":     {config.GroupConsumer, classic(group.Strategy, "us"), "", nil},
		"upgrade only":         {config.GroupConsumer, classic("range", "app"), "upgrade", []expected{strangers}},
		"not let": {config.GroupConsumer, classic(group.Strategy, "us"), "disabled", []expected{{passing: true,
			problem: []string{"client id us", "they speak the classic protocol and this instance the consumer one",
				"group.consumer.migration.policy=disabled"},
			fix: []string{"kafka.group-protocol to classic", "bidirectional"}}}},
		"not let back": {config.GroupClassic, members("us"), "disabled", []expected{{passing: true,
			problem: []string{"they speak the consumer protocol and this instance the classic one", "policy=disabled"},
			fix:     []string{"kafka.group-protocol to consumer"}}}},
		"downgrade only": {config.GroupConsumer, classic("range", ""), "downgrade", []expected{{passing: true,
			problem: []string{"1 member, client id (none)", "=downgrade"}}}},
		"something else": {config.GroupConsumer, inspect.Group{Type: "connect", Members: membersOf("app")}, "", []expected{{
			passing: true,
			problem: []string{"protocol type connect"}, fix: []string{"kafka.group"}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := config.Kafka{Group: "g", ClientID: "us"}
			wantFindings(t, obstacles(k, test.protocol, test.group, test.policy), test.want...)
		})
	}
}

func TestTransactionLimits(t *testing.T) {
	configs := map[string]string{configMaxTransaction: "60000", configStateReplicas: "3", configStateInSync: "2"}
	inSync := expected{passing: true, problem: []string{configStateInSync + " is 2, and there is only 1 broker"},
		fix: []string{configStateInSync}}
	replicas := expected{passing: true, problem: []string{configStateReplicas + " is 3"},
		fix: []string{configStateReplicas}}
	tooLong := expected{fatal: true, problem: []string{"kafka.transaction-timeout: is 1m1s", "1m0s at most",
		configMaxTransaction},
		fix: []string{"lower kafka.transaction-timeout"}}
	tests := map[string]struct {
		timeout     time.Duration
		configs     map[string]string
		brokers     int
		coordinated bool
		want        []expected
	}{
		"good":             {time.Minute, configs, 3, true, nil},
		"nothing known":    {time.Hour, nil, 1, false, nil},
		"too long":         {time.Minute + time.Second, configs, 3, true, []expected{tooLong}},
		"one is restarted": {time.Minute, configs, 2, true, nil},
		"two are":          {time.Minute, configs, 1, true, []expected{inSync}},
		"never begun":      {time.Minute, configs, 2, false, []expected{replicas}},
		"all at once":      {61 * time.Second, configs, 1, false, []expected{tooLong, inSync, replicas}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := config.Kafka{TransactionTimeout: test.timeout}
			wantFindings(t, transactionLimits(k, test.configs, test.brokers, test.coordinated), test.want...)
		})
	}
}

func TestRefusing(t *testing.T) {
	refusal := func(key kmsg.Key, version int16, from inspect.Release, lowest, highest int16) inspect.Refusal {
		return inspect.Refusal{API: inspect.API{Key: key, Version: version, Kafka: from}, Known: true, Min: lowest,
			Max: highest}
	}
	old := []inspect.Refusal{
		refusal(kmsg.OffsetFetch, 7, inspect.Release{Major: 2, Minor: 5}, 0, 6),
		refusal(kmsg.JoinGroup, 9, inspect.Release{Major: 3, Minor: 2}, 0, 7),
		refusal(kmsg.Heartbeat, 4, inspect.Release{Major: 2, Minor: 4}, 0, 3),
	}
	tooNew := refusal(kmsg.Fetch, 11, inspect.Release{Major: 2, Minor: 3}, 12, 17)
	got := refusing([]inspect.Broker{
		{ID: 1, Address: "k1:9092"},
		{ID: 2, Address: "k2:9092", Refusals: old},
		{ID: 3, Address: "k3:9092", Err: errors.New("i/o timeout")},
		{ID: 4, Address: "k4:9092", Refusals: append(old[:1:1], tooNew)},
	})
	wantFindings(t, got,
		expected{fatal: true, problem: []string{"broker 2 at k2:9092", "OffsetFetch up to version 6 (7 is sent",
			"JoinGroup up to version 7 (9 is sent, of Kafka 3.2 and later)"}, fix: []string{"Kafka 3.2 or later"}},
		expected{problem: []string{"broker 3 at k3:9092", "i/o timeout"}, fix: []string{"advertised.listeners"}},
		expected{fatal: true, problem: []string{"broker 4", "Fetch from version 12 to 17 (11 is sent)"},
			fix: []string{"newer release of balanceq"}},
	)
}

// The principal that is to get an ACL is the one that the brokers know us as.
func TestLacksACL(t *testing.T) {
	brokers := []string{"k1:9092", "k2:9092"}
	for who, k := range map[string]config.Kafka{
		"User:joe":       {Brokers: brokers, SASL: config.SASL{Mechanism: config.SASLPlain, Username: "joe"}},
		"User:ANONYMOUS": {Brokers: brokers, SASL: config.SASL{Mechanism: config.SASLNone, Username: "joe"}},
		"User:<subject of kafka.tls.cert-file>": {Brokers: brokers, SASL: config.SASL{Mechanism: config.SASLNone},
			TLS: config.TLS{Enabled: true, TLSFiles: config.TLSFiles{CertFile: "c.pem"}}},
	} {
		lacking := lacks(k, rights.Right{Operation: "Read", Kind: rights.Group, Name: "g"})
		wantFindings(t, []finding.Finding{lacking}, expected{fatal: true,
			problem: []string{who + " the operation Read on group g"},
			fix:     []string{"--bootstrap-server k1:9092 --add --allow-principal '" + who + "' --operation Read --group g"}})
	}
}

// What may pass is waited for, which is logged once; what does not pass is reported in the end, and a signal ends the
// waiting.
func TestRepeat(t *testing.T) {
	held := []finding.Finding{{What: "a warning", Severity: finding.Warn},
		{What: "held by others", Fix: "stop them", Severity: finding.Fail, Passing: true}}
	free := []finding.Finding{{What: "free"}}
	for name, test := range map[string]struct {
		until  time.Duration // how long the finding lasts; 0: for ever
		signal time.Duration // when ctx ends; 0: never
		want   []finding.Finding
		takes  time.Duration
	}{
		"passes":      {until: 5 * time.Second, want: free, takes: 5 * time.Second},
		"stays":       {want: held, takes: Timeout + kafkaPause},
		"interrupted": {signal: 2500 * time.Millisecond, want: held, takes: 2500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.signal > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.signal)
					defer cancel()
				}
				began := time.Now()
				var out bytes.Buffer
				check := func(context.Context, *Cluster) ([]finding.Finding, error) {
					if test.until > 0 && time.Since(began) >= test.until {
						return free, nil
					}
					return held, nil
				}
				got, err := repeated(check)(ctx, &Cluster{log: zerolog.New(&out)})
				if err != nil || !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %+v, %v", got, err)
				}
				if took := time.Since(began); took != test.takes {
					t.Errorf("it took %v, want %v", took, test.takes)
				}
				said := out.String()
				if strings.Count(said, "waiting: held by others") != 1 || !strings.Contains(said, `"fix":"stop them"`) {
					t.Errorf("it said:\n%s", said)
				}
			})
		})
	}
	t.Run("error", func(t *testing.T) {
		broken := errors.New("no cluster")
		_, err := repeated(func(context.Context, *Cluster) ([]finding.Finding, error) { return held, broken })(
			t.Context(), &Cluster{log: zerolog.Nop()})
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}

// Checks that ask different things take the time of the longest, and are told of in their order. One that could not be
// made ends the others.
func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		after := func(d time.Duration, what string, err error) Check {
			return func(ctx context.Context, _ *Cluster) ([]finding.Finding, error) {
				if !wait.Sleep(ctx, d) {
					return nil, ctx.Err()
				}
				return []finding.Finding{{What: what}}, err
			}
		}
		got, err := sideBySide(t.Context(), nil,
			after(3*time.Second, "first", nil), after(time.Second, "second", nil), after(2*time.Second, "third", nil))
		want := []finding.Finding{{What: "first"}, {What: "second"}, {What: "third"}}
		if took := time.Since(began); err != nil || took != 3*time.Second || !reflect.DeepEqual(got, want) {
			t.Errorf("after %v: %+v, %v", took, got, err)
		}
		began = time.Now()
		broken := errors.New("no cluster")
		_, err = sideBySide(t.Context(), nil,
			after(time.Hour, "never", nil), after(time.Second, "", broken))
		if took := time.Since(began); !errors.Is(err, broken) || took != time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// What a broker says is never taken apart: a semicolon in it ends no sentence.
func TestUnaskedStaysInParts(t *testing.T) {
	broken := errors.New("the broker says: no; not now; ask again: later")
	err := Unasked(config.Kafka{Brokers: []string{"k1:9092", "k2:9092"}}, broken)
	found := finding.Of(err)
	if len(found) != 1 || found[0].What != "asking Kafka at k1:9092,k2:9092: "+broken.Error() ||
		found[0].Fix != KafkaFix(broken) {
		t.Errorf("got %+v", found)
	}
	if !errors.Is(err, broken) {
		t.Error("the cause is lost")
	}
}

// membersOf are members with these client ids.
func membersOf(clients ...string) (all []inspect.Member) {
	for _, id := range clients {
		all = append(all, inspect.Member{ClientID: id})
	}
	return all
}
