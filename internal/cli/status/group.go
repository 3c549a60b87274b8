package status

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// What a fetch may bring that only asks how old a record is.
const (
	ageWait      = 100 * time.Millisecond
	ageBytes     = 16 << 20
	agePartBytes = 64 << 10
)

// askGroup asks Kafka who is in the group, what they hold, and how far it has come. It joins nothing.
func askGroup(ctx context.Context, client *kafkawire.Client, k config.Kafka, topic string) (*Group, error) {
	offered, err := client.OffersConsumerProtocol(ctx)
	if err != nil {
		return nil, err
	}
	id, err := client.TopicID(ctx, topic)
	if err != nil {
		return nil, err
	}
	described, err := inspect.DescribeGroup(ctx, client, k.Group, offered)
	if err != nil {
		return nil, err
	}
	g := &Group{Name: k.Group, Topic: topic, State: described.State, Protocol: config.GroupClassic, Members: []Member{}}
	if described.Consumer {
		g.Protocol = config.GroupConsumer
	}
	holder := map[int32]string{}
	for _, m := range described.Members {
		held := m.Holds(topic, id)
		for _, partition := range held {
			holder[partition] = m.ID
		}
		g.Members = append(g.Members, Member{ID: m.ID, StaticID: m.InstanceID, Client: m.ClientID, Host: m.Host,
			Partitions: held})
	}
	slices.SortFunc(g.Members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	g.Partitions, err = askOffsets(ctx, client, k.Group, topic)
	for i := range g.Partitions {
		g.Partitions[i].Member = holder[g.Partitions[i].Partition]
	}
	return g, err
}

// askOffsets returns how far each partition has come.
func askOffsets(ctx context.Context, client *kafkawire.Client, group, topic string) ([]Partition, error) {
	ids, err := client.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	committed, commitErr := client.CommittedOffsets(ctx, group, topic, ids)
	ends, endErr := client.LogEnds(ctx, topic, ids)
	starts, _ := client.ListOffsets(ctx, topic, ids, kafkawire.Earliest) // those that are missing count from 0
	for _, err := range []error{commitErr, endErr} {
		if _, ofSome := errors.AsType[kafkawire.PartitionsError](err); err != nil && !ofSome {
			return nil, err
		}
	}
	failed := kafkawire.Failures(ids, committed, commitErr)
	maps.Copy(failed, kafkawire.Failures(ids, ends, endErr))
	all := make([]Partition, 0, len(ids))
	unread := map[int32]int64{} // from where, of those with a lag
	for _, id := range ids {
		p := Partition{Partition: id, End: ends[id]}
		if err := failed[id]; err != nil {
			p.Problem = err.Error()
			all = append(all, p)
			continue
		}
		from := starts[id]
		if at := committed[id].Offset; at >= 0 {
			p.Committed, from = &at, max(from, at)
		}
		if p.Lag = max(0, p.End-from); p.Lag > 0 {
			unread[id] = from
		} else {
			p.LagSeconds = new(float64)
		}
		all = append(all, p)
	}
	addAges(ctx, client, topic, unread, all)
	return all, nil
}

// addAges says how old the first record of each partition is that is not behind a commit. Where there is no record up
// to the end, only the marks of transactions, nothing is left to do.
func addAges(ctx context.Context, client *kafkawire.Client, topic string, unread map[int32]int64, all []Partition) {
	leaders, _, err := client.Leaders(ctx, topic)
	if err != nil || len(unread) == 0 {
		return
	}
	byLeader, _ := kafkawire.ByLeader(leaders, unread)
	now, place := time.Now(), make(map[int32]int, len(all))
	for i := range all {
		place[all[i].Partition] = i
	}
	for leader, offsets := range byLeader {
		fetched, err := client.Fetch(ctx, leader, topic, offsets,
			kafkawire.FetchLimits{MaxWait: ageWait, MaxBytes: ageBytes, PartitionMaxBytes: agePartBytes})
		if err != nil {
			continue // the age is not known
		}
		for i := range fetched {
			f := &fetched[i]
			at, known := place[f.Partition]
			switch {
			case !known || f.Err != nil:
			case len(f.Records) > 0:
				age := max(0, now.Sub(f.Records[0].Time).Seconds())
				all[at].LagSeconds = &age
			case f.Next >= f.End:
				all[at].Lag, all[at].LagSeconds = 0, new(float64)
			}
		}
	}
}
