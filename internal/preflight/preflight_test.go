package preflight

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balanceq/balanceq/consumer/group"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire/inspect"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// finding is what a test wants of one: words of the problem and of the fix. passing ones are fatal too.
type finding struct {
	fatal, passing bool
	problem, fix   []string
}

func wantFindings(t *testing.T, got []Finding, want ...finding) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d: %v", len(got), len(want), got)
	}
	for i, f := range got {
		if w := want[i]; f.Fatal != (w.fatal || w.passing) || f.passing != w.passing {
			t.Errorf("%v: fatal %v, passing %v", f, f.Fatal, f.passing)
		}
		for _, word := range want[i].problem {
			if !strings.Contains(f.Problem, word) {
				t.Errorf("the problem does not say %q: %s", word, f.Problem)
			}
		}
		for _, word := range want[i].fix {
			if !strings.Contains(f.Fix, word) {
				t.Errorf("the fix does not say %q: %s", word, f.Fix)
			}
		}
	}
}

func TestJudgeGroup(t *testing.T) {
	classic := func(strategy string, ids ...string) inspect.Group {
		return inspect.Group{Type: inspect.ClassicType, Strategy: strategy, Clients: ids}
	}
	members := func(ids ...string) inspect.Group { return inspect.Group{Consumer: true, Clients: ids} }
	held := finding{passing: true, problem: []string{"group g is held by 3 members, client id app (2 times), us",
		"by range and we by balanceq-sticky"},
		fix: []string{"stop them first (all of them", "kafka.group"}}
	strangers := finding{problem: []string{"another client id than us: app;"}, fix: []string{"kafka.client-id"}}
	tests := map[string]struct {
		protocol string
		group    inspect.Group
		policy   string
		want     []finding
	}{
		"nobody":               {config.GroupClassic, inspect.Group{}, "", nil},
		"nobody left":          {config.GroupClassic, classic(""), "", nil},
		"ours":                 {config.GroupClassic, classic(group.Strategy, "us", "eu"), "", nil},
		"another strategy":     {config.GroupClassic, classic("range", "app", "us", "app"), "bidirectional", []finding{held}},
		"not known yet":        {config.GroupClassic, classic("", "us"), "", nil},
		"consumer members":     {config.GroupClassic, members("us"), "downgrade", nil},
		"consumer strangers":   {config.GroupClassic, members("us", "app"), "", []finding{strangers}},
		"consumer to consumer": {config.GroupConsumer, members("app"), "disabled", []finding{strangers}},
		"ours become consumer": {config.GroupConsumer, classic(group.Strategy, "us"), "bidirectional", nil},
		"policy not known":     {config.GroupConsumer, classic(group.Strategy, "us"), "", nil},
		"upgrade only":         {config.GroupConsumer, classic("range", "app"), "upgrade", []finding{strangers}},
		"not let": {config.GroupConsumer, classic(group.Strategy, "us"), "disabled", []finding{{passing: true,
			problem: []string{"client id us", "they speak the classic protocol and we the consumer one",
				"group.consumer.migration.policy=disabled"},
			fix: []string{"kafka.group-protocol to classic", "bidirectional"}}}},
		"not let back": {config.GroupClassic, members("us"), "disabled", []finding{{passing: true,
			problem: []string{"they speak the consumer protocol and we the classic one", "policy=disabled"},
			fix:     []string{"kafka.group-protocol to consumer"}}}},
		"downgrade only": {config.GroupConsumer, classic("range", ""), "downgrade", []finding{{passing: true,
			problem: []string{"1 member, client id (none)", "=downgrade"}}}},
		"something else": {config.GroupConsumer, inspect.Group{Type: "connect", Clients: []string{"app"}}, "", []finding{{
			passing: true,
			problem: []string{"protocol type connect"}, fix: []string{"kafka.group"}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := config.Kafka{Group: "g", ClientID: "us"}
			wantFindings(t, judgeGroup(k, test.protocol, test.group, test.policy), test.want...)
		})
	}
}

func TestJudgeTransactions(t *testing.T) {
	configs := map[string]string{configMaxTransaction: "60000", configStateReplicas: "3", configStateInSync: "2"}
	inSync := finding{passing: true, problem: []string{configStateInSync + " is 2, and there is only 1 broker"},
		fix: []string{configStateInSync}}
	replicas := finding{passing: true, problem: []string{configStateReplicas + " is 3"}, fix: []string{configStateReplicas}}
	tooLong := finding{fatal: true, problem: []string{"kafka.transaction-timeout is 1m1s", "1m0s at most", configMaxTransaction},
		fix: []string{"lower kafka.transaction-timeout"}}
	tests := map[string]struct {
		timeout     time.Duration
		configs     map[string]string
		brokers     int
		coordinated bool
		want        []finding
	}{
		"good":             {time.Minute, configs, 3, true, nil},
		"nothing known":    {time.Hour, nil, 1, false, nil},
		"too long":         {time.Minute + time.Second, configs, 3, true, []finding{tooLong}},
		"one is restarted": {time.Minute, configs, 2, true, nil},
		"two are":          {time.Minute, configs, 1, true, []finding{inSync}},
		"never begun":      {time.Minute, configs, 2, false, []finding{replicas}},
		"all at once":      {61 * time.Second, configs, 1, false, []finding{tooLong, inSync, replicas}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := config.Kafka{TransactionTimeout: test.timeout}
			wantFindings(t, judgeTransactions(k, test.configs, test.brokers, test.coordinated), test.want...)
		})
	}
}

func TestJudgeBrokers(t *testing.T) {
	refusal := func(key kmsg.Key, version int16, from inspect.Release, lowest, highest int16) inspect.Refusal {
		return inspect.Refusal{API: inspect.API{Key: key, Version: version, Kafka: from}, Known: true, Min: lowest, Max: highest}
	}
	old := []inspect.Refusal{
		refusal(kmsg.OffsetFetch, 7, inspect.Release{Major: 2, Minor: 5}, 0, 6),
		refusal(kmsg.JoinGroup, 9, inspect.Release{Major: 3, Minor: 2}, 0, 7),
		refusal(kmsg.Heartbeat, 4, inspect.Release{Major: 2, Minor: 4}, 0, 3),
	}
	tooNew := refusal(kmsg.Fetch, 11, inspect.Release{Major: 2, Minor: 3}, 12, 17)
	got := judgeBrokers([]inspect.Broker{
		{ID: 1, Address: "k1:9092"},
		{ID: 2, Address: "k2:9092", Refusals: old},
		{ID: 3, Address: "k3:9092", Err: errors.New("i/o timeout")},
		{ID: 4, Address: "k4:9092", Refusals: append(old[:1:1], tooNew)},
	})
	wantFindings(t, got,
		finding{fatal: true, problem: []string{"broker 2 at k2:9092", "OffsetFetch up to version 6 (7 is sent",
			"JoinGroup up to version 7 (9 is sent, of Kafka 3.2 and later)"}, fix: []string{"Kafka 3.2 or later"}},
		finding{problem: []string{"broker 3 at k3:9092", "i/o timeout"}, fix: []string{"advertised.listeners"}},
		finding{fatal: true, problem: []string{"broker 4", "Fetch from version 12 to 17 (11 is sent)"},
			fix: []string{"newer release of balanceq"}},
	)
}

// Who is to get an ACL is the one that the brokers know us as.
func TestLacksACL(t *testing.T) {
	brokers := []string{"k1:9092", "k2:9092"}
	for who, k := range map[string]config.Kafka{
		"User:joe":       {Brokers: brokers, SASL: config.SASL{Mechanism: config.SASLPlain, Username: "joe"}},
		"User:ANONYMOUS": {Brokers: brokers, SASL: config.SASL{Mechanism: config.SASLNone, Username: "joe"}},
		"User:<subject of kafka.tls.cert-file>": {Brokers: brokers, SASL: config.SASL{Mechanism: config.SASLNone},
			TLS: config.TLS{Enabled: true, TLSFiles: config.TLSFiles{CertFile: "c.pem"}}},
	} {
		wantFindings(t, []Finding{lacksACL(k, "Read", "group", "g")}, finding{fatal: true,
			problem: []string{who + " the operation Read on group g"},
			fix:     []string{"--bootstrap-server k1:9092 --add --allow-principal '" + who + "' --operation Read --group g"}})
	}
}

// What may pass is waited for, which is said once; what does not pass is reported in the end, and a signal ends the waiting.
func TestSettled(t *testing.T) {
	held := Report{Findings: []Finding{{Problem: "a warning"},
		{Problem: "held by others", Fix: "stop them", Fatal: true, passing: true}}}
	free := Report{Seen: "free"}
	for name, test := range map[string]struct {
		until  time.Duration // how long the finding lasts; 0: for ever
		signal time.Duration // when ctx ends; 0: never
		want   Report
		takes  time.Duration
	}{
		"passes":      {until: 5 * time.Second, want: free, takes: 5 * time.Second},
		"stays":       {want: held, takes: kafkaPatience + kafkaPause},
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
				check := func(context.Context, config.Config, zerolog.Logger) (Report, error) {
					if test.until > 0 && time.Since(began) >= test.until {
						return free, nil
					}
					return held, nil
				}
				got, err := settled(ctx, config.Config{}, zerolog.New(&out), check)
				if err != nil || got.Seen != test.want.Seen || len(got.Findings) != len(test.want.Findings) {
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
		_, err := settled(t.Context(), config.Config{}, zerolog.Nop(),
			func(context.Context, config.Config, zerolog.Logger) (Report, error) { return held, broken })
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}
