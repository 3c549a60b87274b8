package group

import (
	"cmp"
	"maps"
	"slices"

	"github.com/balanceq/balanceq/kafkawire"
)

// Strategy names the assignor in the group. A member of another strategy cannot share a group with this one.
const Strategy = "balanceq-sticky"

// assignee is a member to which partitions are assigned.
type assignee struct {
	key      string // orders members the same way over restarts
	topics   []string
	owned    map[string][]int32
	assigned map[string][]int32
	load     int // partitions assigned to it so far, of all topics
	quota    int // how many more it is to get of the topic at hand
}

// assign gives the partitions of all topics to the members that subscribe to them: within one of each other, and moving
// as few as that allows. A partition that moves is assigned to no member until its owner has joined without it, so that
// it is never with two (KIP-429). What a member says it owns is believed, even of two members at once: both give it
// back. Equal input makes equal output, in whichever order the members come. partitions is how many each topic had.
//
// Assignments carry no user data: with any, brokers do not let members of the consumer group protocol in (KIP-848), and
// the group could not be carried over while it works.
func assign(members []kafkawire.Peer, counts map[string]int32) (
	all map[string]kafkawire.Assignment, partitions map[string]int32,
) {
	assignees := make([]*assignee, len(members))
	for i, m := range members {
		assignees[i] = &assignee{
			key: m.InstanceID + "\x00" + m.ID, topics: m.Subscription.Topics, owned: m.Subscription.Owned,
			assigned: map[string][]int32{},
		}
	}
	order := slices.SortedFunc(slices.Values(assignees), func(a, b *assignee) int { return cmp.Compare(a.key, b.key) })
	partitions = withUnknown(counts, members)
	for _, topic := range slices.Sorted(maps.Keys(partitions)) {
		assignTopic(order, topic, partitions[topic])
	}
	all = make(map[string]kafkawire.Assignment, len(members))
	for i, m := range members {
		all[m.ID] = kafkawire.Assignment{Partitions: assignees[i].assigned}
	}
	return all, partitions
}

// decision is what a leader remembers of its assignment. The zero value is that of another leader.
type decision struct {
	partitions map[string]int32 // how many each topic had
	pending    bool             // some are assigned to no member until their owner has given them back
}

// pending says whether fewer partitions are assigned than there are.
func pending(all map[string]kafkawire.Assignment, partitions map[string]int32) bool {
	var total, assigned int
	for _, n := range partitions {
		total += int(n)
	}
	for _, a := range all {
		for _, list := range a.Partitions {
			assigned += len(list)
		}
	}
	return assigned < total
}

// withUnknown adds the topics that the broker does not know, for now: those just after its start, of which everything
// stays where it is, and those that are yet to be created.
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

// assignTopic gives out one topic.
func assignTopic(assignees []*assignee, topic string, partitions int32) {
	subscribed := slices.DeleteFunc(slices.Clone(assignees), func(a *assignee) bool {
		return !slices.Contains(a.topics, topic)
	})
	if len(subscribed) == 0 {
		return
	}
	owners := make([][]*assignee, partitions)
	for _, a := range assignees { // also one that does not subscribe any more owns what it has not given back
		for _, p := range a.owned[topic] {
			if p >= 0 && p < partitions && !slices.Contains(owners[p], a) {
				owners[p] = append(owners[p], a)
			}
		}
	}
	setQuotas(subscribed, owners)
	target := make([]*assignee, partitions)
	for p, o := range owners {
		if len(o) == 1 && o[0].quota > 0 {
			target[p] = o[0]
			o[0].take()
		}
	}
	// What is free comes first, so that it is spread over all who wait.
	next := turns(subscribed)
	for _, free := range []bool{true, false} {
		for p, o := range owners {
			if target[p] == nil && (len(o) == 0) == free {
				target[p], next = next[0], next[1:]
				target[p].take()
			}
		}
	}
	for p, to := range target {
		if len(owners[p]) == 0 || len(owners[p]) == 1 && owners[p][0] == to {
			to.assigned[topic] = append(to.assigned[topic], int32(p))
		}
	}
}

func (a *assignee) take() {
	a.quota--
	a.load++
}

// setQuotas says how many partitions each is to get. Where they do not come out even, a member that has more keeps
// more, and then one that has fewer of other topics gets more.
func setQuotas(subscribed []*assignee, owners [][]*assignee) {
	even, odd := len(owners)/len(subscribed), len(owners)%len(subscribed)
	owned := map[*assignee]int{}
	for _, o := range owners {
		if len(o) == 1 {
			owned[o[0]]++
		}
	}
	order := slices.SortedStableFunc(slices.Values(subscribed), func(a, b *assignee) int {
		return cmp.Or(cmp.Compare(min(owned[b], even+1), min(owned[a], even+1)), cmp.Compare(a.load, b.load))
	})
	for i, a := range order {
		a.quota = even
		if i < odd {
			a.quota++
		}
	}
}

// turns is who gets what no member keeps, one after the other: the member that is to get the most more, the first of
// several.
// There are as many turns as partitions that no member keeps.
func turns(subscribed []*assignee) (next []*assignee) {
	most := 0
	for _, a := range subscribed {
		most = max(most, a.quota)
	}
	for level := most; level > 0; level-- { // at most one more than an even share, so this is linear in partitions
		for _, a := range subscribed {
			if a.quota >= level {
				next = append(next, a)
			}
		}
	}
	return next
}
