package status

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/telemetry"
)

var update = flag.Bool("update", false, "write the golden screens")

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func seconds(s float64) *float64 { return &s }
func offset(o int64) *int64      { return &o }

// healthy is an instance that holds some partitions and has nothing to complain of.
func healthy(name, version string, held ...int32) *telemetry.Status {
	s := &telemetry.Status{Instance: name, Version: version, Started: at.Add(-3 * time.Hour), Group: "balanceq",
		Topic: "balance.requests", Member: "member-" + name,
		Health:      telemetry.Health{Ready: true, Breaker: cmsclient.BreakerClosed, Partitions: len(held), InFlight: 3},
		Calls:       telemetry.Calls{InFlight: 3, Limit: 256},
		DeadLetters: telemetry.DeadLetters{Ratio: 0.004, Budget: 0.5}, Held: []telemetry.Held{},
		Keys: []telemetry.KeyExpires{}}
	for _, p := range held {
		s.Held = append(s.Held, telemetry.Held{Partition: p, Lag: 1})
	}
	return s
}

// calm is a group of four partitions whose two members are instances that answer.
func calm() *Document {
	d := &Document{At: at, Instances: []Instance{
		{URL: "http://a:8080", Status: healthy("i1", "v1.2.0", 0, 1)},
		{URL: "http://b:8080", Status: healthy("i2", "v1.2.0", 2, 3)},
	}, Group: &Group{Name: "balanceq", Topic: "balance.requests", State: "Stable", Protocol: "classic", Members: []Member{
		{ID: "member-i1", Client: "balanceq", Host: "10.0.0.1", Partitions: []int32{0, 1}},
		{ID: "member-i2", Client: "balanceq", Host: "10.0.0.2", Partitions: []int32{2, 3}},
	}}}
	for id := range int32(4) {
		d.Group.Partitions = append(d.Group.Partitions, Partition{Partition: id, Member: d.Group.Members[id/2].ID,
			Committed: offset(100), End: 100, LagSeconds: seconds(0)})
	}
	return d
}

// changed are cases: what makes each, and whether the instances were named.
var changed = map[string]struct {
	change  func(*Document)
	unnamed bool
}{
	"calm": {func(*Document) {}, false},
	"outage": {func(d *Document) {
		h := &d.Instances[1].Status.Health
		h.Breaker, h.Waiting = cmsclient.BreakerOpen, cmsclient.CauseBreaker
		h.Failing = cmsclient.Failing{Cause: "status 503 (17)", Status: 503, Since: at.Add(-3 * time.Minute)}
		d.Instances[1].Status.Calls = telemetry.Calls{Limit: 256, Waiting: 12}
		d.Group.Partitions[2].End, d.Group.Partitions[2].Lag, d.Group.Partitions[2].LagSeconds = 18_330, 18_230, seconds(184)
	}, false},
	"upgrade, one away": {func(d *Document) {
		d.Instances[1] = Instance{URL: "http://b:8080", Error: "http://b:8080 cannot be reached: connection refused"}
		d.Instances = append(d.Instances, Instance{URL: "http://c:8080", Status: healthy("i3", "v1.3.0")})
		d.Instances[2].Status.Health.Ready = false
		d.Instances[2].Status.Health.Why = "not a member of the consumer group at the moment"
	}, false},
	"everything": {func(d *Document) {
		one, two := d.Instances[0].Status, d.Instances[1].Status
		one.Health.Halted, one.Health.Waiting = "the CMS refuses \x1b[2J the keys", cmsclient.CauseHalted
		two.Health.Paused, two.Health.Waiting = "100 of 120 are dead letters", "dead-letter-budget"
		two.DeadLetters = telemetry.DeadLetters{Ratio: 0.83, Budget: 0.5, Held: 1}
		two.Health.KafkaFailing, two.Health.Corrupt = "writing fails: no leader", "partition 3: offsets 4 to 9 cannot be read"
		two.Health.NotStarted, two.Health.Transaction = "partition 3 since 11:00", "partition 2: a publisher's transaction"
		soon := at.Add(48 * time.Hour)
		one.Keys = []telemetry.KeyExpires{{Name: "signing", Expires: &soon}, {Name: "decryption", Failing: "no key"}}
		two.Group = "another"
		d.Group.Members = d.Group.Members[:1]
		d.Group.Partitions[2].Member, d.Group.Partitions[3].Member = "", ""
		d.Group.Partitions[1].Problem, d.Group.Partitions[1].LagSeconds = "kafka: no leader", nil
	}, false},
	"only Kafka": {func(d *Document) {
		d.Instances = []Instance{{URL: "http://127.0.0.1:8080",
			Error: "http://127.0.0.1:8080 cannot be reached: connection refused"}}
		d.Group.Partitions[0].Lag, d.Group.Partitions[0].LagSeconds = 7, seconds(2)
	}, true},
	"only instances": {func(d *Document) { d.Group = nil }, false},
	"empty group": {func(d *Document) {
		d.Instances, d.Group.State, d.Group.Members = []Instance{}, "Empty", []Member{}
		for i := range d.Group.Partitions {
			d.Group.Partitions[i].Member = ""
		}
	}, true},
	"rebalance": {func(d *Document) {
		d.Group.State = "PreparingRebalance"
		for i := range d.Group.Partitions {
			d.Group.Partitions[i].Member = ""
		}
	}, false},
}

// made is a case, concluded.
func made(name string) *Document {
	d := calm()
	changed[name].change(d)
	d.join()
	d.sum()
	d.conclude(!changed[name].unnamed, time.Minute)
	return d
}

// The screens, as people see them: testdata has each. go test -update writes them.
func TestScreens(t *testing.T) {
	for name := range changed {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := made(name).write(&out); err != nil {
				t.Fatal(err)
			}
			path := "testdata/" + strings.NewReplacer(" ", "-", ",", "").Replace(name) + ".txt"
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || out.String() != string(want) || strings.Contains(out.String(), "\x1b") {
				t.Errorf("%v; got\n%s\nwant\n%s", err, out.String(), want)
			}
		})
	}
}

// What needs attention, worst first; the exit code goes by OK.
func TestProblems(t *testing.T) {
	for name, want := range map[string][]string{
		"calm": nil, "rebalance": nil, "only instances": nil, "only Kafka": nil,
		"outage":            {"i2: breaker open: status 503 (17)", "lag: 18230 requests wait, the oldest for 3m4s"},
		"upgrade, one away": {"http://b:8080: cannot be", "i3: not ready", "member member-i2: none of the inst"},
		"empty group":       {"group balanceq: it has no member"},
		"everything": {"partition 1: kafka: no leader", "partition 2-3: no member holds it", "i1: halted: the CMS",
			"i2: holds dead letters: 100", "i2: writing fails", "i2: not started: partition 3", "i2: partition 3: offsets 4",
			"i2: partition 2: a pub", "i2: it is of group another", "i1: key signing: expires 2026-03-03",
			"i1: key decryption: no key"},
	} {
		d := made(name)
		var got []string
		for _, p := range d.Problems {
			got = append(got, p.text())
		}
		if !slices.EqualFunc(got, want, strings.HasPrefix) || d.OK != (len(want) == 0) {
			t.Errorf("%s: ok %v, %q, want %q", name, d.OK, got, want)
		}
	}
}

// What is written as JSON is as the schema says, all of it, and an unknown member is none of it.
func TestSchema(t *testing.T) {
	text, err := os.ReadFile("status.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:status", schema); err != nil {
		t.Fatal(err)
	}
	compiled := c.MustCompile("urn:status")
	for name := range changed {
		line, err := json.Marshal(made(name))
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(document); err != nil {
			t.Errorf("%s: %v in\n%s", name, err, line)
		}
		document.(map[string]any)["more"] = true
		if compiled.Validate(document) == nil {
			t.Error("an unknown member is not noticed")
		}
	}
}

// Without a terminal --watch writes a line when something has changed, and none for a number that moves by itself.
func TestWatchWritesChanges(t *testing.T) {
	var out bytes.Buffer
	show := newView(&out, &options{output: "text", watch: true})
	for _, name := range []string{"calm", "calm", "outage", "outage", "calm"} {
		d := made(name)
		d.Lag += int64(out.Len())
		if err := show(d); err != nil {
			t.Fatal(err)
		}
	}
	want := "2026-03-01T12:00:00Z all is well: 2 instances, 2 members, 4 partitions, lag 0, 6 in flight\n" +
		"2026-03-01T12:00:00Z needs attention: i2: breaker open: status 503 (17), since 2026-03-01T11:57:00Z (and 1 more)\n" +
		"2026-03-01T12:00:00Z all is well: 2 instances, 2 members, 4 partitions, lag 0, 6 in flight\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// An instance that is behind two names is there once; one that does not answer is there with the reason.
func TestAskEachInstanceOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(healthy("i1", "v1", 0))
	}))
	defer server.Close()
	all := ask(context.Background(), []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1),
		"http://127.0.0.1:1"})
	if len(all) != 2 || all[0].Status == nil || all[0].Status.Instance != "i1" || all[1].Status != nil ||
		!strings.Contains(all[1].Error, "cannot be reached") {
		t.Errorf("%+v", all)
	}
}

func TestRanges(t *testing.T) {
	for want, ids := range map[string][]int32{"none": nil, "4": {4}, "0-3, 7": {0, 1, 2, 3, 7},
		"1, 3, 5-6": {1, 3, 5, 6}} {
		if got := ranges(ids); got != want {
			t.Errorf("%v: %q", ids, got)
		}
	}
}
