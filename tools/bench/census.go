package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// census is a group as its coordinator describes it. Members go by their client id, which all client libraries send.
type census struct {
	protocol string // which of the two, and who assigns
	state    string
	members  []string         // sorted
	owner    map[int32]string // of each partition; the group reads one topic
}

const stable = "Stable" // nothing is being handed over

// takeCensus describes a group of either protocol. Only who has members of the consumer protocol (KIP-848) is known to
// a broker that is asked for such groups; an older broker does not know the question. Of classic groups, all know.
func takeCensus(ctx context.Context, client *kgo.Client, group string) (census, error) {
	if c, err := consumerCensus(ctx, client, group); err == nil {
		return c, nil
	}
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return census{}, fmt.Errorf("describing the group: %w", err)
	}
	if len(resp.Groups) != 1 {
		return census{}, fmt.Errorf("describing the group: the brokers tell of %d", len(resp.Groups))
	}
	g := resp.Groups[0]
	if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
		return census{}, fmt.Errorf("describing the group: %w", err)
	}
	return classicCensus(g)
}

func classicCensus(g kmsg.DescribeGroupsResponseGroup) (census, error) {
	c := census{protocol: "classic, " + g.Protocol, state: g.State, owner: map[int32]string{}}
	for _, m := range g.Members {
		c.members = append(c.members, m.ClientID)
		if len(m.MemberAssignment) == 0 {
			continue // between its join and its sync
		}
		var held kmsg.ConsumerMemberAssignment
		if err := held.ReadFrom(m.MemberAssignment); err != nil {
			return census{}, fmt.Errorf("describing the group: reading the assignment of %s: %w", m.ClientID, err)
		}
		for _, t := range held.Topics {
			c.give(m.ClientID, t.Partitions)
		}
	}
	slices.Sort(c.members)
	return c, nil
}

func consumerCensus(ctx context.Context, client *kgo.Client, group string) (census, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return census{}, err
	}
	c := census{owner: map[int32]string{}}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return census{}, err
		}
		c.protocol, c.state = "consumer, "+g.AssignorName, g.State
		for _, m := range g.Members {
			c.members = append(c.members, m.ClientID)
			for _, t := range m.Assignment.TopicPartitions {
				c.give(m.ClientID, t.Partitions)
			}
		}
	}
	slices.Sort(c.members)
	return c, nil
}

func (c census) give(member string, partitions []int32) {
	for _, partition := range partitions {
		c.owner[partition] = member
	}
}

// unsettled says what is missing until the members are those wanted (sorted) and share all partitions; "" if nothing
// is.
func (c census) unsettled(want []string, parts int) string {
	switch {
	case c.state != stable:
		return "its state is " + cmp.Or(c.state, "unknown")
	case !slices.Equal(c.members, want):
		return fmt.Sprintf("its members are %v, not %v", c.members, want)
	case len(c.owner) != parts:
		return fmt.Sprintf("%d of %d partitions have an owner", len(c.owner), parts)
	}
	return ""
}

// moved returns the partitions, counted from 0, that changed owner or that one of the members concerned had before or
// has after.
func moved(before, after map[int32]string, concerned []string) map[int32]bool {
	m := map[int32]bool{}
	for partition := range maps.Keys(after) {
		from, to := before[partition], after[partition]
		if from != to || slices.Contains(concerned, from) {
			m[partition] = true
		}
	}
	return m
}
