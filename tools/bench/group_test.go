package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/tools/bench/stub"
)

const parts = 6

// newGroup makes a group without members, on an embedded broker.
func newGroup(t *testing.T) *group {
	t.Helper()
	broker := kafkatest.Embedded(t, kfake.NumBrokers(1))
	cms, err := stub.Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cms.Close() })
	o := options{brokers: broker.ListenAddrs()[0], parts: parts, contracts: 100}
	b, err := newBench(t.Context(), o, cms, nil, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return &group{bench: b, spread: spread(o.contracts, parts), pauses: newPauses(parts, time.Now()),
		slots: map[int]*instance{}}
}

// member joins with a client of another make than balanceq's.
func (g *group) member(t *testing.T, slot int, opts ...kgo.Opt) (leave func()) {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(g.brokers), kgo.ClientID(name(slot)),
		kgo.ConsumerGroup(g.group()), kgo.ConsumeTopics(g.topic("requests"))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client.Close
}

func TestGroupGetsStable(t *testing.T) {
	for protocol, opts := range map[string][]kgo.Opt{
		"classic":  {kgo.Balancers(kgo.CooperativeStickyBalancer())},
		"consumer": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())},
	} {
		t.Run(protocol, func(t *testing.T) {
			g := newGroup(t)
			var served []answer // in each partition something that is asked later than now
			for i := range parts {
				served = append(served, answer{i, time.Now().Add(time.Hour), "a"})
			}
			g.pauses.add(served, time.Now())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			g.member(t, 1, opts...)
			leave := g.member(t, 2, opts...)
			before, err := g.awaitStable(ctx, []int{1, 2}, 0)
			if err != nil || len(before.owner) != parts || !strings.HasPrefix(before.protocol, protocol) {
				t.Fatal(before, err)
			}
			if owners := slices.Sorted(maps.Values(before.owner)); owners[0] != name(1) || owners[parts-1] != name(2) {
				t.Errorf("owners %v", owners)
			}
			leave()
			after, err := g.awaitStable(ctx, []int{1}, 0)
			if err != nil || len(after.owner) != parts || slices.Contains(slices.Collect(maps.Values(after.owner)), name(2)) {
				t.Errorf("%v %v", after, err)
			}
			if m := moved(before.owner, after.owner, names([]int{2})); len(m) != parts/2 {
				t.Errorf("moved: %v of %v -> %v", m, before, after)
			}
			brief, stop := context.WithTimeoutCause(ctx, 2*time.Second, fmt.Errorf("enough"))
			defer stop()
			const why = "enough; the group was not stable: its members are [bench-1], not [bench-1 bench-2]"
			if c, err := g.awaitStable(brief, []int{1, 2}, 0); err == nil || err.Error() != why {
				t.Errorf("stable without the second: %v %v", c, err)
			}
		})
	}
}

// A group whose members are there and whose partitions answer nothing is not stable.
func TestGroupIsNotStableWhileNothingIsAnswered(t *testing.T) {
	g := newGroup(t)
	g.member(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if owner, err := g.awaitStable(ctx, []int{1}, 0); err == nil {
		t.Errorf("stable: %v", owner)
	}
}

func TestUnsettled(t *testing.T) {
	owner := map[int32]string{0: "a", 1: "b"}
	for _, c := range []struct {
		census census
		want   string
	}{
		{census{"", stable, []string{"a", "b"}, owner}, ""},
		{census{"", "Reconciling", []string{"a", "b"}, owner}, "its state is Reconciling"},
		{census{}, "its state is unknown"},
		{census{"", stable, []string{"a", "a", "b"}, owner}, "its members are [a a b], not [a b]"},
		{census{"", stable, []string{"a"}, owner}, "its members are [a], not [a b]"},
		{census{"", stable, []string{"a", "b"}, map[int32]string{1: "b"}}, "1 of 2 partitions have an owner"},
	} {
		if got := c.census.unsettled([]string{"a", "b"}, 2); got != c.want {
			t.Errorf("%+v: %q", c.census, got)
		}
	}
}

func TestMoved(t *testing.T) {
	before := map[int32]string{0: "a", 1: "b", 2: "c", 3: "c"}
	for _, c := range []struct {
		after     map[int32]string
		concerned []string
		want      string
	}{
		{before, nil, "map[]"},
		{before, []string{"c"}, "map[2:true 3:true]"}, // it died and came back
		{map[int32]string{0: "a", 1: "b", 2: "c", 3: "d"}, []string{"d"}, "map[3:true]"},
		// more than it had to
		{map[int32]string{0: "b", 1: "a", 2: "a", 3: "b"}, []string{"c"}, "map[0:true 1:true 2:true 3:true]"},
	} {
		if got := fmt.Sprint(moved(before, c.after, c.concerned)); got != c.want {
			t.Errorf("%v %v: %s, want %s", c.after, c.concerned, got, c.want)
		}
	}
}

func TestRow(t *testing.T) {
	longest := []time.Duration{30 * time.Millisecond, 1240 * time.Millisecond, 50 * time.Millisecond,
		900 * time.Millisecond}
	for want, moved := range map[string]map[int32]bool{
		"| x | 2 of 4 | 1.24 s | 0.05 s | 7 |": {1: true, 3: true},
		"| x | 0 of 4 | – | 1.24 s | 7 |":      {},
		"| x | 4 of 4 | 1.24 s | – | 7 |":      {0: true, 1: true, 2: true, 3: true},
	} {
		if got := row("x", longest, 7, moved); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The i-th request has to be in partition i modulo their number: pauses counts on it.
func TestRequestsAreSpreadEvenly(t *testing.T) {
	g := newGroup(t)
	contracts := map[string]bool{}
	const n = 20 * parts
	if sent := g.send(t.Context(), 10_000, 0, n, func(i int, due time.Time) *kgo.Record {
		r := g.request(i, due)
		contracts[string(r.Key)] = true
		if !strings.Contains(string(r.Value), fmt.Sprintf(`"requestId":"%d-%d"`, i, due.UnixNano())) {
			t.Errorf("request %d: %s", i, r.Value)
		}
		return r
	}); sent != n {
		t.Fatal(sent)
	}
	if err := g.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(g.brokers), kgo.ConsumeTopics(g.topic("requests")),
		kgo.FetchMaxWait(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for read := 0; read < n; {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read++
			if got, err := readAnswer(r.Value); err != nil || got.number%parts != int(r.Partition) {
				t.Errorf("%s in partition %d: %v", r.Value, r.Partition, err)
			}
		})
	}
	if len(contracts) < 60 {
		t.Errorf("only %d of 100 contracts", len(contracts))
	}
}

func TestLed(t *testing.T) {
	known := func(topicError, partitionError int16) *kmsg.MetadataResponse {
		p := kmsg.MetadataResponseTopicPartition{ErrorCode: partitionError}
		topics := []kmsg.MetadataResponseTopic{{},
			{ErrorCode: topicError, Partitions: []kmsg.MetadataResponseTopicPartition{{}, p}}}
		return &kmsg.MetadataResponse{Topics: topics}
	}
	if !led(known(0, 0)) {
		t.Error("all have leaders")
	}
	if led(known(kerr.UnknownTopicOrPartition.Code, 0)) || led(known(0, kerr.LeaderNotAvailable.Code)) {
		t.Error("not all have leaders")
	}
}
