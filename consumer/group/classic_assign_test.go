package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/kafkawire"
)

func peer(id string, owned ...int32) kafkawire.Peer {
	return kafkawire.Peer{ID: id, Subscription: kafkawire.Subscription{
		Topics: []string{testTopic}, Owned: map[string][]int32{testTopic: owned}, Generation: 1,
	}}
}

func counted(n int32) map[string]int32 { return map[string]int32{testTopic: n} }

func assignedTo(all map[string]kafkawire.Assignment) map[string][]int32 {
	short := map[string][]int32{}
	for id, a := range all {
		short[id] = a.Partitions[testTopic]
	}
	return short
}

// shares is what each member gets of n partitions, and how many are pending.
func shares(members []kafkawire.Peer, n int32) (shared map[string][]int32, moving int) {
	all, _ := assign(members, counted(n))
	shared, moving = assignedTo(all), int(n)
	for _, share := range shared {
		moving -= len(share)
	}
	return shared, moving
}

func TestAssign(t *testing.T) {
	t.Parallel()
	static := func(id, instance string, owned ...int32) kafkawire.Peer {
		p := peer(id, owned...)
		p.InstanceID = instance
		return p
	}
	gone := peer("b", 3, 4, 5)
	gone.Subscription.Topics = nil
	for name, tc := range map[string]struct {
		members []kafkawire.Peer
		n       int32
		want    map[string][]int32
		moving  int
	}{
		"one takes all": {[]kafkawire.Peer{peer("a")}, 3, map[string][]int32{"a": {0, 1, 2}}, 0},
		"fresh ones share": {[]kafkawire.Peer{peer("b"), peer("a")}, 3, map[string][]int32{"a": {0, 1}, "b": {2}},
			0},
		"more members than there is": {[]kafkawire.Peer{peer("a"), peer("b")}, 1, map[string][]int32{"a": {0}, "b": nil}, 0},
		"what moves is pending": {[]kafkawire.Peer{peer("a", 0, 1, 2, 3), peer("b")}, 4,
			map[string][]int32{"a": {0, 1}, "b": nil}, 2},
		"what was given back is assigned": {[]kafkawire.Peer{peer("a", 0, 1), peer("b")}, 4,
			map[string][]int32{"a": {0, 1}, "b": {2, 3}}, 0},
		"the same while it drains": {[]kafkawire.Peer{peer("a", 0, 1, 2, 3), peer("c"), peer("b")}, 4,
			map[string][]int32{"a": {0, 1}, "b": nil, "c": nil}, 2},
		"who has more keeps more": {[]kafkawire.Peer{peer("a", 0), peer("b", 1, 2)}, 3,
			map[string][]int32{"a": {0}, "b": {1, 2}}, 0},
		"the dead one's are assigned": {[]kafkawire.Peer{peer("a", 0, 1), peer("c", 4, 5)}, 6,
			map[string][]int32{"a": {0, 1, 2}, "c": {3, 4, 5}}, 0},
		"what is free is spread over who waits": {[]kafkawire.Peer{peer("a", 0, 2, 4, 5), peer("b"), peer("c")}, 6,
			map[string][]int32{"a": {0, 2}, "b": {1}, "c": {3}}, 2},
		"owned twice is given to neither": {[]kafkawire.Peer{peer("a", 0, 1), peer("b", 1, 2)}, 3,
			map[string][]int32{"a": {0}, "b": {2}}, 1},
		"owned although there is none": {[]kafkawire.Peer{peer("a", -1, 0, 7), peer("b", 1<<31-1)}, 2,
			map[string][]int32{"a": {0}, "b": {1}}, 0},
		"owned twice by the same": {[]kafkawire.Peer{peer("a", 0, 0)}, 1, map[string][]int32{"a": {0}}, 0},
		"who leaves has what it still has": {[]kafkawire.Peer{peer("a", 0, 1, 2), gone}, 6,
			map[string][]int32{"a": {0, 1, 2}, "b": nil}, 3},
		"static members keep their order": {[]kafkawire.Peer{static("z", "1"), static("y", "2")}, 3,
			map[string][]int32{"z": {0, 1}, "y": {2}}, 0},
		"no member":                        {nil, 3, map[string][]int32{}, 3},
		"a topic without partitions":       {[]kafkawire.Peer{peer("a")}, 0, map[string][]int32{"a": nil}, 0},
		"fewer partitions than there were": {[]kafkawire.Peer{peer("a", 0, 1, 2, 3)}, 2, map[string][]int32{"a": {0, 1}}, 0},
		"more partitions than there were": {[]kafkawire.Peer{peer("a", 0, 1), peer("b", 2)}, 5,
			map[string][]int32{"a": {0, 1, 3}, "b": {2, 4}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, moving := shares(tc.members, tc.n)
			if !maps.EqualFunc(got, tc.want, slices.Equal) || moving != tc.moving {
				t.Errorf("got %v with %d moving, want %v with %d", got, moving, tc.want, tc.moving)
			}
		})
	}
}

// A broker that has just started may not know the topic yet: no member is to lose anything over that.
func TestAssignUnknownTopic(t *testing.T) {
	t.Parallel()
	all, _ := assign([]kafkawire.Peer{peer("a", 0, 1), peer("b", 2, 3)}, map[string]int32{})
	if got, want := assignedTo(all), map[string][]int32{"a": {0, 1}, "b": {2, 3}}; !maps.EqualFunc(got, want,
		slices.Equal) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, counts := assign([]kafkawire.Peer{peer("a")}, map[string]int32{})
	if n, known := counts[testTopic]; n != 0 || !known {
		t.Errorf("%v does not say that the topic had no partitions: no member would notice its creation", counts)
	}
}

// Members of different topics get what they subscribe to, and who has fewer of one gets more of the next.
func TestAssignTopics(t *testing.T) {
	t.Parallel()
	members := []kafkawire.Peer{peer("a"), peer("b"), peer("c")}
	members[0].Subscription.Topics = []string{"x", "y"}
	members[1].Subscription.Topics = []string{"x", "y"}
	members[2].Subscription.Topics = []string{"z"}
	all, _ := assign(members, map[string]int32{"x": 1, "y": 1, "z": 2})
	if !slices.Equal(all["a"].Partitions["x"], []int32{0}) || !slices.Equal(all["b"].Partitions["y"], []int32{0}) ||
		!slices.Equal(all["c"].Partitions["z"], []int32{0, 1}) {
		t.Errorf("got %v", all)
	}
}

// somePeers draws members of which each partition is owned by none, one or (rarely) two.
func somePeers(rt *rapid.T, n int32) []kafkawire.Peer {
	members := make([]kafkawire.Peer, rapid.IntRange(1, 9).Draw(rt, "members"))
	for i := range members {
		members[i] = peer(fmt.Sprintf("m%d", i))
		if rapid.IntRange(0, 9).Draw(rt, "leaving") == 0 {
			members[i].Subscription.Topics = nil
		}
	}
	skew := rapid.IntRange(1, len(members)).Draw(rt, "owners")
	for p := range n {
		owners := rapid.SampledFrom([]int{0, 1, 1, 1, 1, 1, 1, 2}).Draw(rt, "owners of one")
		for range owners {
			s := members[rapid.IntRange(0, skew-1).Draw(rt, "owner")].Subscription
			s.Owned[testTopic] = append(s.Owned[testTopic], p)
		}
	}
	return members
}

func TestAssignProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int32Range(0, 40).Draw(rt, "partitions")
		members := somePeers(rt, n)
		shared, moving := shares(members, n)
		owners := map[int32]map[string]bool{}
		subscribed := 0
		owned := map[string]int{}
		for _, m := range members {
			if len(m.Subscription.Topics) > 0 {
				subscribed++
			}
			for _, p := range m.Subscription.Owned[testTopic] {
				if owners[p] == nil {
					owners[p] = map[string]bool{}
				}
				owners[p][m.ID] = true
			}
		}
		if subscribed == 0 {
			return
		}
		got := map[int32]string{}
		kept := 0
		for _, m := range members {
			list := shared[m.ID]
			if len(list) > (int(n)+subscribed-1)/subscribed || len(list) > 0 && len(m.Subscription.Topics) == 0 {
				rt.Fatalf("%s gets %d of %d partitions among %d", m.ID, len(list), n, subscribed)
			}
			for _, p := range list {
				if other, twice := got[p]; twice {
					rt.Fatalf("partition %d goes to %s and %s", p, other, m.ID)
				}
				got[p] = m.ID
				if c := owners[p]; len(c) > 1 || len(c) == 1 && !c[m.ID] {
					rt.Fatalf("partition %d goes to %s while %v have it", p, m.ID, c)
				}
				if len(owners[p]) == 1 {
					kept++
				}
			}
		}
		// All that is not moving is given out.
		if len(got)+moving != int(n) {
			rt.Fatalf("%d given, %d moving of %d", len(got), moving, n)
		}
		for p := range n {
			if _, ok := got[p]; !ok && len(owners[p]) == 0 {
				rt.Fatalf("partition %d is free and goes to no member", p)
			}
		}
		// No fewer are kept than a balance within one allows.
		for _, m := range members {
			if len(m.Subscription.Topics) > 0 {
				for p := range n {
					if len(owners[p]) == 1 && owners[p][m.ID] {
						owned[m.ID]++
					}
				}
			}
		}
		even, odd, most := int(n)/subscribed, int(n)%subscribed, 0
		for _, have := range owned {
			most += min(have, even)
			if have > even && odd > 0 {
				most, odd = most+1, odd-1
			}
		}
		if kept != most {
			rt.Fatalf("%d stay where they are, %d could", kept, most)
		}
		// The order in which members come changes nothing.
		rand.New(rand.NewPCG(uint64(n), 1)).Shuffle(len(members), func(i, j int) {
			members[i], members[j] = members[j],
				members[i]
		})
		if again, _ := shares(members, n); !maps.EqualFunc(shared, again, slices.Equal) {
			rt.Fatalf("%v, and in another order %v", shared, again)
		}
	})
}

// A join moves no more than the share of who joins; a leave moves nothing of those who stay.
func TestAssignMovesLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int32Range(1, 60).Draw(rt, "partitions")
		size := rapid.IntRange(1, 12).Draw(rt, "members")
		var members []kafkawire.Peer
		for i := range size {
			members = append(members, peer(fmt.Sprintf("m%d", i)))
		}
		rebalance := func() {
			shared, _ := shares(members, n)
			for id, list := range shared {
				i := slices.IndexFunc(members, func(m kafkawire.Peer) bool { return m.ID == id })
				members[i].Subscription.Owned[testTopic] = list
			}
		}
		rebalance()
		members = append(members, peer(fmt.Sprintf("m%d-joins", rapid.IntRange(0, size).Draw(rt, "order"))))
		if _, moving := shares(members, n); moving > (int(n)+size)/(size+1) {
			rt.Fatalf("%d of %d partitions move as member %d joins", moving, n, size+1)
		}
		rebalance() // what moves is given back
		rebalance() // and assigned
		if _, moving := shares(members, n); moving != 0 {
			rt.Fatalf("still %d moving", moving)
		}
		leaves := rapid.IntRange(0, size).Draw(rt, "leaves")
		members = slices.Delete(members, leaves, leaves+1)
		after, _ := shares(members, n)
		for _, m := range members {
			for _, p := range m.Subscription.Owned[testTopic] {
				if !slices.Contains(after[m.ID], p) {
					rt.Fatalf("partition %d of %s moves although another left", p, m.ID)
				}
			}
		}
	})
}
