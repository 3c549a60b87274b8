package group

import (
	"cmp"
	"maps"
	"slices"

	"github.com/balanceq/balanceq/kafkawire"
)

// Strategy names the assignor in the group. A member of another strategy cannot share a group with ours.
const Strategy = "balanceq-sticky"

// seat is a member while partitions are dealt.
type seat struct {
	key    string // orders members the same way over restarts
	topics []string
	owned  map[string][]int32
	given  map[string][]int32
	load   int // partitions dealt to it so far, of all topics
	room   int // how many more it is to get of the topic at hand
}

// assign deals the partitions of all topics to the members that subscribe to them: within one of each other, and moving
// as few as that allows. A partition that moves is given to nobody until who has it has joined without it, so that it is
// never in two hands (KIP-429). What a member says it owns is believed, even of two members at once: both give it back.
// Equal input makes equal output, in whichever order the members come. dealt is how many partitions of each topic there
// were.
//
// Assignments carry no data of ours: with any, brokers do not let members of the consumer group protocol in (KIP-848), and
// the group could not be carried over while it works.
func assign(members []kafkawire.Peer, counts map[string]int32) (all map[string]kafkawire.Assignment, dealt map[string]int32) {
	seats := make([]*seat, len(members))
	for i, m := range members {
		seats[i] = &seat{
			key: m.InstanceID + "\x00" + m.ID, topics: m.Subscription.Topics, owned: m.Subscription.Owned,
			given: map[string][]int32{},
		}
	}
	order := slices.SortedFunc(slices.Values(seats), func(a, b *seat) int { return cmp.Compare(a.key, b.key) })
	dealt = withUnknown(counts, members)
	for _, topic := range slices.Sorted(maps.Keys(dealt)) {
		dealTopic(order, topic, dealt[topic])
	}
	all = make(map[string]kafkawire.Assignment, len(members))
	for i, m := range members {
		all[m.ID] = kafkawire.Assignment{Partitions: seats[i].given}
	}
	return all, dealt
}

// deal is what a leader remembers of its assignment. The zero value is that of others.
type deal struct {
	counts   map[string]int32 // partitions of each topic
	withheld bool             // some are with nobody until who has them has given them back
}

func withheld(all map[string]kafkawire.Assignment, counts map[string]int32) bool {
	var due, given int
	for _, n := range counts {
		due += int(n)
	}
	for _, a := range all {
		for _, partitions := range a.Partitions {
			given += len(partitions)
		}
	}
	return given < due
}

// withUnknown adds the topics that the broker does not know, for now: those just after its start, of which everything stays
// where it is, and those that are yet to be created.
func withUnknown(counts map[string]int32, members []kafkawire.Peer) map[string]int32 {
	all := maps.Clone(counts)
	for _, m := range members {
		for _, topic := range m.Subscription.Topics {
			all[topic] = max(all[topic], 0)
		}
		for topic, owned := range m.Subscription.Owned {
			if _, known := counts[topic]; !known && len(owned) > 0 {
				all[topic] = max(all[topic], slices.Max(owned)+1)
			}
		}
	}
	return all
}

// dealTopic gives out one topic.
func dealTopic(seats []*seat, topic string, partitions int32) {
	subscribed := slices.DeleteFunc(slices.Clone(seats), func(s *seat) bool { return !slices.Contains(s.topics, topic) })
	if len(subscribed) == 0 {
		return
	}
	owners := make([][]*seat, partitions)
	for _, s := range seats { // also who does not subscribe any more has what it has not given back
		for _, p := range s.owned[topic] {
			if p >= 0 && p < partitions && !slices.Contains(owners[p], s) {
				owners[p] = append(owners[p], s)
			}
		}
	}
	makeRoom(subscribed, owners)
	target := make([]*seat, partitions)
	for p, o := range owners {
		if len(o) == 1 && o[0].room > 0 {
			target[p] = o[0]
			o[0].take()
		}
	}
	// What is free comes first, so that it is spread over all who wait.
	for _, free := range []bool{true, false} {
		for p, o := range owners {
			if target[p] == nil && (len(o) == 0) == free {
				target[p] = slices.MaxFunc(subscribed, func(a, b *seat) int { return cmp.Compare(a.room, b.room) })
				target[p].take()
			}
		}
	}
	for p, to := range target {
		if len(owners[p]) == 0 || len(owners[p]) == 1 && owners[p][0] == to {
			to.given[topic] = append(to.given[topic], int32(p))
		}
	}
}

func (s *seat) take() {
	s.room--
	s.load++
}

// makeRoom says how many partitions each is to get. Where they do not come out even, who has more keeps more, and then
// who has fewer of other topics gets more.
func makeRoom(subscribed []*seat, owners [][]*seat) {
	even, odd := len(owners)/len(subscribed), len(owners)%len(subscribed)
	owned := map[*seat]int{}
	for _, o := range owners {
		if len(o) == 1 {
			owned[o[0]]++
		}
	}
	order := slices.SortedStableFunc(slices.Values(subscribed), func(a, b *seat) int {
		return cmp.Or(cmp.Compare(min(owned[b], even+1), min(owned[a], even+1)), cmp.Compare(a.load, b.load))
	})
	for i, s := range order {
		s.room = even
		if i < odd {
			s.room++
		}
	}
}
