package kafkawire

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests of the classic group protocol in the versions that Kafka 3.x and 4.x both know. kafka-go's own have
// neither static members (KIP-345) nor owned partitions (KIP-429), and its ConsumerGroup sends no heartbeat while it
// drains.

// ConsumerProtocol is the protocol type of classic groups that share out partitions: its metadata are subscriptions and
// assignments.
const ConsumerProtocol = "consumer"

// GroupMember is a member that may be static (KIP-345): then the group knows it by InstanceID over restarts, and
// refuses (FencedInstanceID) the member that had that name before.
type GroupMember struct {
	Member
	InstanceID string // "": dynamic
}

// JoinRequest asks to become a member of a group.
type JoinRequest struct {
	GroupMember                    // ID is "" at first; Generation is not sent
	Strategy         string        // name of the assignor; all members must have the same
	Subscription     Subscription  // what the leader gets to see
	SessionTimeout   time.Duration // a member that is not heard of for so long is dead
	RebalanceTimeout time.Duration // how long the group waits for members to join again
}

// Joined is the answer to a member that joined.
type Joined struct {
	ID         string // the member's id
	Generation int32
	Leader     bool // the member is to send the assignments of all with its SyncGroup
	// Coordinated says that no member leads: the coordinator assigns, as the group has members of the consumer group
	// protocol, too (KIP-848).
	Coordinated bool
	// Members are all members of the generation; only the leader gets them, and only if there is something to assign: a
	// static leader that was restarted finds its group as it was (KIP-814).
	Members []Peer
}

// Peer is a member as the leader sees it.
type Peer struct {
	ID, InstanceID string
	Subscription   Subscription
}

// JoinGroup waits until all members of the group have joined, or the rebalance timeout is over (JoinGroup v9): give ctx
// a deadline beyond that. MemberIDRequired (KIP-394) comes with an ID, to be used at once.
func (c *Client) JoinGroup(ctx context.Context, r JoinRequest) (Joined, error) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = 9
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = r.Group, r.ID, optional(r.InstanceID), ConsumerProtocol
	req.SessionTimeoutMillis = wireMillis(r.SessionTimeout)
	req.RebalanceTimeoutMillis = wireMillis(r.RebalanceTimeout)
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = r.Strategy, r.Subscription.encode()
	req.Protocols = append(req.Protocols, p)
	resp, err := Typed[*kmsg.JoinGroupResponse](c.Coordinator(ctx, r.Group, req))
	if err == nil {
		err = CodeError(resp.ErrorCode)
	}
	if err != nil {
		joined := Joined{}
		if resp != nil {
			joined.ID = resp.MemberID
		}
		return joined, fmt.Errorf("joining group %s: %w", r.Group, err)
	}
	joined := Joined{
		ID: resp.MemberID, Generation: resp.Generation,
		Leader: resp.LeaderID == resp.MemberID, Coordinated: resp.LeaderID == "",
	}
	if !joined.Leader || resp.SkipAssignment {
		return joined, nil
	}
	for _, m := range resp.Members {
		s, err := decodeSubscription(m.ProtocolMetadata)
		if err != nil {
			return joined, fmt.Errorf("joining group %s: subscription of member %s: %w", r.Group, m.MemberID, err)
		}
		peer := Peer{ID: m.MemberID, Subscription: s}
		if m.InstanceID != nil {
			peer.InstanceID = *m.InstanceID
		}
		joined.Members = append(joined.Members, peer)
	}
	return joined, nil
}

// SyncGroup waits for the leader's decision and returns what it gives to m (SyncGroup v5). all is the decision, by
// member id, from the leader itself; members that have gone meanwhile are ignored by the group.
func (c *Client) SyncGroup(
	ctx context.Context, m GroupMember, strategy string, all map[string]Assignment,
) (Assignment, error) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version = 5
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.Group, m.ID, optional(m.InstanceID), m.Generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr(ConsumerProtocol), kmsg.StringPtr(strategy)
	for id, a := range all {
		g := kmsg.NewSyncGroupRequestGroupAssignment()
		g.MemberID, g.MemberAssignment = id, a.encode()
		req.GroupAssignment = append(req.GroupAssignment, g)
	}
	resp, err := Typed[*kmsg.SyncGroupResponse](c.Coordinator(ctx, m.Group, req))
	if err == nil {
		err = CodeError(resp.ErrorCode)
	}
	if err != nil {
		return Assignment{}, fmt.Errorf("synchronising with group %s: %w", m.Group, err)
	}
	a, err := DecodeAssignment(resp.MemberAssignment)
	if err != nil {
		return Assignment{}, fmt.Errorf("synchronising with group %s: %w", m.Group, err)
	}
	return a, nil
}

// Heartbeat renews the session (Heartbeat v4). RebalanceInProgress says that it is time to join again.
func (c *Client) Heartbeat(ctx context.Context, m GroupMember) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version = 4
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.Group, m.ID, optional(m.InstanceID), m.Generation
	resp, err := Typed[*kmsg.HeartbeatResponse](c.Coordinator(ctx, m.Group, req))
	if err == nil {
		err = CodeError(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("heartbeat to group %s: %w", m.Group, err)
	}
	return nil
}

// LeaveGroup leaves (LeaveGroup v5). A member that the group does not know has left.
func (c *Client) LeaveGroup(ctx context.Context, m GroupMember, reason string) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version = 5
	req.Group = m.Group
	leaving := kmsg.NewLeaveGroupRequestMember()
	leaving.MemberID, leaving.InstanceID, leaving.Reason = m.ID, optional(m.InstanceID), optional(reason)
	req.Members = append(req.Members, leaving)
	resp, err := Typed[*kmsg.LeaveGroupResponse](c.Coordinator(ctx, m.Group, req))
	if err == nil {
		err = CodeError(resp.ErrorCode)
	}
	if err == nil && len(resp.Members) == 1 && resp.Members[0].ErrorCode != int16(kafka.UnknownMemberId) {
		err = CodeError(resp.Members[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("leaving group %s: %w", m.Group, err)
	}
	return nil
}

// PartitionCounts returns how many partitions each topic has (Metadata v9), as of now and not of the last refresh. A
// topic that the broker does not know (yet) is missing.
func (c *Client) PartitionCounts(ctx context.Context, topics []string) (map[string]int32, error) {
	if len(topics) == 0 {
		return map[string]int32{}, nil // the request would mean all topics
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	addTopics(req, topics...)
	r, err := Typed[*kmsg.MetadataResponse](c.Any(ctx, req))
	if err != nil {
		return nil, fmt.Errorf("counting partitions: %w", err)
	}
	counts := make(map[string]int32, len(topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		err := CodeError(t.ErrorCode)
		switch {
		case err == nil && t.Topic != nil:
			counts[*t.Topic] = wireInt(len(t.Partitions))
		case t.ErrorCode != int16(kafka.UnknownTopicOrPartition):
			return nil, fmt.Errorf("counting partitions: %w", err)
		}
	}
	return counts, nil
}

// AssignedPartitions returns how many partitions of each topic are with the members of a group of the classic protocol
// (DescribeGroups v5). While it rebalances the answer is RebalanceInProgress.
func (c *Client) AssignedPartitions(ctx context.Context, group string) (map[string]int32, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version, req.Groups = 5, []string{group}
	resp, err := Typed[*kmsg.DescribeGroupsResponse](c.Coordinator(ctx, group, req))
	if err == nil && len(resp.Groups) != 1 {
		err = fmt.Errorf("kafka: %d groups in the answer, want one", len(resp.Groups))
	}
	if err == nil {
		err = CodeError(resp.Groups[0].ErrorCode)
	}
	if err == nil && resp.Groups[0].State != "Stable" {
		err = kafka.RebalanceInProgress
	}
	if err != nil {
		return nil, fmt.Errorf("describing group %s: %w", group, err)
	}
	assigned := map[string]int32{}
	for i := range resp.Groups[0].Members {
		m := &resp.Groups[0].Members[i]
		a, err := DecodeAssignment(m.MemberAssignment)
		if err != nil {
			return nil, fmt.Errorf("describing group %s: assignment of member %s: %w", group, m.MemberID, err)
		}
		for topic, partitions := range a.Partitions {
			assigned[topic] += wireInt(len(partitions))
		}
	}
	return assigned, nil
}

// optional is a nullable string of the protocol.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
