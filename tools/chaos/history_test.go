package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRequestsAreReadAsTheyAreMade(t *testing.T) {
	count := map[fate]int{}
	for seq := range 2000 {
		r := newRequest(seq, 500)
		r.Partition, r.Offset, r.Timestamp = 3, int64(seq), time.UnixMilli(77)
		q, err := readRequest(r)
		if err != nil || q.seq != seq || q.contract != string(r.Key) || q.position != (position{3, int64(seq)}) ||
			q.written != 77 {
			t.Fatalf("%+v %v", q, err)
		}
		count[q.fate]++
	}
	if count[invalid] != 50 || count[notFound] != 40 {
		t.Errorf("fates of 2000 requests: %v", count)
	}
}

func TestReadOutcome(t *testing.T) {
	result := &kgo.Record{Partition: 1, Offset: 9, Timestamp: time.UnixMilli(5), Key: []byte("100012"), Value: []byte(
		`{"requestId":"12","contractId":"100012","outcome":"complete","balances":[{"balanceCode":"A","balanceId":"1",` +
			`"balanceCurrency":"EUR","balanceValue":"2.50"}],"source":{"topic":"r","partition":4,"offset":6}}`)}
	result.Headers = []kgo.RecordHeader{{Key: "ce_id", Value: []byte("r/4/6@Vd3.0")}}
	got, err := readOutcome(stored{result, dates{true, 6, 7}}, false)
	if want := (outcome{position: position{1, 9}, id: "r/4/6@Vd3.0", seq: 12, contract: "100012", source: position{4, 6},
		key: "100012", balances: "[{A 1 EUR 2.50}]", written: 5, dates: dates{true, 6, 7}}); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	result.Headers[0].Value = []byte("r/4/7@Vd3.0")
	if _, err := readOutcome(stored{Record: result}, false); err == nil {
		t.Error("a result is read whose headers are another one's")
	}
	letter := newRequest(49, 500)
	letter.Partition, letter.Offset, letter.Timestamp = 2, 3, time.UnixMilli(5)
	if _, err := readOutcome(stored{Record: letter}, true); err == nil {
		t.Error("a dead letter without headers is read")
	}
	for key, value := range map[string]string{
		"__dlq.errors.partition": "2", "__dlq.errors.offset": "44", "balanceq-reason": "contract-not-found",
		"balanceq-instance":        "w1-1",
		"balanceq-source-topic-id": "Vd3", "balanceq-source-leader-epoch": "5",
	} {
		letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	got, err = readOutcome(stored{Record: letter}, true)
	if want := (outcome{position: position{2, 3}, dead: true, seq: 49, contract: "404100049", source: position{2, 44},
		key:    "404100049",
		reason: "contract-not-found", instance: "w1-1", id: "2/44@Vd3.5", written: 5}); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	for _, value := range []string{"", "{", `{"requestId":"x"}`, `{}`, "null"} {
		if _, err := readOutcome(stored{Record: &kgo.Record{Value: []byte(value)}}, false); err == nil {
			t.Errorf("%q is read as a result", value)
		}
		if _, err := readRequest(&kgo.Record{Value: []byte(value)}); err == nil {
			t.Errorf("%q is read as a request", value)
		}
	}
}

func TestReadCommit(t *testing.T) {
	w := &collector{group: "g", topics: topics{requests: "r"}, publisher: &publisher{}}
	record := func(group, topic string, version int16) stored {
		key := kmsg.OffsetCommitKey{Version: 1, Group: group, Topic: topic, Partition: 5}
		value := kmsg.OffsetCommitValue{Version: version, Offset: 42, CommitTimestamp: 99, LeaderEpoch: -1}
		return stored{&kgo.Record{Key: key.AppendTo(nil), Value: value.AppendTo(nil)}, dates{ended: 111}}
	}
	for version := range int16(5) {
		if c, ok := w.readCommit(record("g", "r", version)); !ok || c != (commit{5, 42, 99, 99, unsaid}) {
			t.Errorf("version %d: %+v %v", version, c, ok)
		}
	}
	// key version 1 and value version 3, by the schemas of Kafka's group coordinator
	asKafkaWrites := stored{Record: &kgo.Record{
		Key:   []byte("\x00\x01\x00\x01g\x00\x01r\x00\x00\x00\x05"),
		Value: []byte("\x00\x03\x00\x00\x00\x00\x00\x00\x00\x2a\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x63"),
	}}
	if c, ok := w.readCommit(asKafkaWrites); !ok || c != (commit{5, 42, 99, 99, unsaid}) {
		t.Errorf("%+v %v", c, ok)
	}
	inTransaction := record("g", "r", 3)
	inTransaction.inOne = true
	if c, ok := w.readCommit(inTransaction); !ok || c != (commit{5, 42, 99, 111, unsaid}) {
		t.Errorf("%+v %v", c, ok)
	}
	tombstone, group := record("g", "r", 3), record("g", "r", 3)
	tombstone.Value, group.Key[1] = nil, 2
	for name, r := range map[string]stored{
		"another group's": record("h", "r", 3), "another topic's": record("g", "s", 3), "tombstone": tombstone,
		"a group's": group,
		"no key":    {Record: &kgo.Record{}}, "cut short": {Record: &kgo.Record{Key: record("g", "r", 3).Key[:5],
			Value: []byte{0}}},
	} {
		if c, ok := w.readCommit(r); ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestFlags(t *testing.T) {
	if o, err := parse([]string{"--short", "--seed=4"}, io.Discard); err != nil || !o.short || o.records != shortRecords ||
		o.seed != 4 ||
		o.mode != bothModes || len(o.faults) != len(faults) {
		t.Errorf("%+v %v", o, err)
	}
	if o, err := parse([]string{"--short", "--records=5", "--duration=1s", "--mode=exactly-once"},
		io.Discard); err != nil || o.records != 5 ||
		o.duration != time.Second || o.seed == 0 || o.mode != exactlyOnce {
		t.Errorf("%+v %v", o, err)
	}
	if o, err := parse(nil, io.Discard); err != nil || o.records < 200_000 || o.mode != atLeastOnce || o.nodes != 1 {
		t.Errorf("%+v %v", o, err)
	}
	if o, err := parse([]string{"--brokers=k:9092"}, io.Discard); err != nil || len(o.faults) != len(faults)-8 {
		t.Errorf("%+v %v", o, err)
	}
	for _, wrong := range [][]string{{"--mode=twice"}, {"--workers=0"}, {"--duration=0s"}, {"--faults=x"}, {"--nodes=2"},
		{"--group-protocol=kip848"}, {"x"}, {"--x"}} {
		if code := run(t.Context(), wrong, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
}

func TestReport(t *testing.T) {
	made := func(name string) injection {
		return injection{fault: faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == name })]}
	}
	s := &session{options: options{mode: atLeastOnce, protocol: "classic", table: filepath.Join(t.TempDir(), "table.md")},
		cluster: &cluster{name: "apache/kafka:4.3.1", nodes: make([]*node, 3)}}
	h := history{requests: []request{{fate: invalid}},
		injected: []injection{made("kill"), made("broker"), made("cut"), made("kill")}}
	v := verdict{requests: 1, gone: 7, findings: []finding{{promiseLost, make([]string, 12)}}, ahead: 3, checked: 4,
		sampled: 5,
		longest: stall{period{time.UnixMilli(0), time.UnixMilli(1500)}, nil, "broker killed"},
		stalls:  []stall{{period{time.UnixMilli(0), time.UnixMilli(9000)}, nil, "disk full"}}}
	var text strings.Builder
	for range 2 {
		if err := s.report(&text, h, v); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"| 4.3.1 | 3 | at-least-once | classic |", "| 2 | 1 | 1 cut |", "| 3 (9) |",
		"1.5s: broker killed |",
		"1 dead letters were due", "| 8 | 2 | 1 | 1 cut |", "7 acknowledged requests were lost by Kafka itself",
		"9s from 00:00:00.000", "disk full", "BROKEN: " + promiseLost + " (12)"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the report lacks %q:\n%s", part, text.String())
		}
	}
	table, err := os.ReadFile(s.table)
	rows := strings.Split(strings.TrimSpace(string(table)), "\n")
	if err != nil || len(rows) != 4 || rows[2] != rows[3] || strings.Count(rows[0], "|") != strings.Count(rows[2], "|") {
		t.Errorf("%s %v", table, err)
	}
	s.table = t.TempDir()
	if err := s.report(io.Discard, h, v); err == nil {
		t.Error("a table that cannot be written: no error")
	}
}
