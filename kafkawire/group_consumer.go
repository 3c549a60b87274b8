package kafkawire

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests of the consumer group protocol (KIP-848), in which the coordinator assigns the partitions and one kind
// of heartbeat does everything else.

// Errors of the protocol for which kafka-go has no names.
const (
	ErrFencedMemberEpoch    = kafka.Error(110) // the group knows the member, but in another epoch: it has to join again
	ErrUnreleasedInstanceID = kafka.Error(111) // another member has the instance id and has not let go of it
	ErrUnsupportedAssignor  = kafka.Error(112)
	ErrStaleMemberEpoch     = kafka.Error(113) // of a commit: the member has a newer epoch, or the partition another owner
)

// Member epochs with a meaning of their own.
const (
	EpochJoining = int32(0)
	EpochLeaving = int32(-1)
	EpochResting = int32(-2) // of a static member that leaves: its partitions wait for its next start
)

// TopicID identifies a topic over its life: one made again under the same name has another (KIP-516).
type TopicID [16]byte

// String is the form in which Kafka's own tools write it.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ConsumerHeartbeat is a sign of life of a member.
type ConsumerHeartbeat struct {
	// GroupMember has an ID that the member has made up itself, and no other member ever had; its Generation is the member
	// epoch.
	GroupMember
	// Report is nil where nothing has changed since the last heartbeat that was answered. A member that joins has to give
	// it.
	Report *ConsumerReport
}

// ConsumerReport is what a member tells the coordinator about itself.
type ConsumerReport struct {
	Topics []string
	// RebalanceTimeout is how long the member may take to give partitions back, or it is put out of the group.
	RebalanceTimeout time.Duration
	Owned            map[TopicID][]int32 // partitions that no other member may have yet; empty in a member that joins
}

// ConsumerAssignment is the answer to a heartbeat.
type ConsumerAssignment struct {
	Epoch    int32
	Interval time.Duration // how soon the coordinator wants the next heartbeat
	// Assigned is nil where it has not changed; it always is given as an answer to a report. Partitions that others have
	// not given back yet are missing in it.
	Assigned map[TopicID][]int32
}

// ConsumerHeartbeat joins a group, stays in it, and leaves it (ConsumerGroupHeartbeat v1). The coordinator does not
// wait for other members before it answers.
func (c *Client) ConsumerHeartbeat(ctx context.Context, h ConsumerHeartbeat) (ConsumerAssignment, error) {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version = 1
	req.Group, req.MemberID, req.InstanceID, req.MemberEpoch = h.Group, h.ID, optional(h.InstanceID), h.Generation
	if r := h.Report; r != nil {
		req.SubscribedTopicNames, req.RebalanceTimeoutMillis = r.Topics, wireMillis(r.RebalanceTimeout)
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{} // nil would mean: as before
		for id, partitions := range r.Owned {
			t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			t.TopicID, t.Partitions = id, partitions
			req.Topics = append(req.Topics, t)
		}
	}
	resp, err := Typed[*kmsg.ConsumerGroupHeartbeatResponse](c.Coordinator(ctx, h.Group, req))
	if err == nil {
		err = explained(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return ConsumerAssignment{}, fmt.Errorf("heartbeat to group %s: %w", h.Group, err)
	}
	answer := ConsumerAssignment{
		Epoch: resp.MemberEpoch, Interval: time.Duration(resp.HeartbeatIntervalMillis) * time.Millisecond,
	}
	if resp.Assignment != nil {
		answer.Assigned = map[TopicID][]int32{}
		for _, t := range resp.Assignment.Topics {
			answer.Assigned[t.TopicID] = append(answer.Assigned[t.TopicID], t.Partitions...)
		}
	}
	return answer, nil
}

// ConsumerGroup is a group as its coordinator sees it.
type ConsumerGroup struct {
	Assigned bool // the partitions have been assigned to the members as they are now
	Members  []ConsumerGroupMember
}

// ConsumerGroupMember is a member as the coordinator sees it.
type ConsumerGroupMember struct {
	ID, InstanceID string
	Epoch          int32 // EpochResting: away
	Target         int   // how many partitions it is to have, once others have given them back
}

// DescribeConsumerGroup asks the coordinator who is in the group (ConsumerGroupDescribe v0).
func (c *Client) DescribeConsumerGroup(ctx context.Context, group string) (ConsumerGroup, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version, req.Groups = 0, []string{group}
	resp, err := Typed[*kmsg.ConsumerGroupDescribeResponse](c.Coordinator(ctx, group, req))
	if err == nil && len(resp.Groups) != 1 {
		err = fmt.Errorf("kafka: %d groups in the answer, want one", len(resp.Groups))
	}
	if err == nil {
		err = explained(resp.Groups[0].ErrorCode, resp.Groups[0].ErrorMessage)
	}
	if err != nil {
		return ConsumerGroup{}, fmt.Errorf("describing group %s: %w", group, err)
	}
	described := &resp.Groups[0]
	g := ConsumerGroup{Assigned: described.AssignmentEpoch == described.Epoch}
	for i := range described.Members {
		m := &described.Members[i]
		member := ConsumerGroupMember{ID: m.MemberID, Epoch: m.MemberEpoch}
		if m.InstanceID != nil {
			member.InstanceID = *m.InstanceID
		}
		for _, t := range m.TargetAssignment.TopicPartitions {
			member.Target += len(t.Partitions)
		}
		g.Members = append(g.Members, member)
	}
	return g, nil
}

// TopicID asks for the id of a topic, as of now (Metadata v12).
func (c *Client) TopicID(ctx context.Context, topic string) (TopicID, error) {
	id, _, err := c.IdentifyTopic(ctx, topic)
	return id, err
}

// IdentifyTopic is TopicID with the id of the cluster.
func (c *Client) IdentifyTopic(ctx context.Context, topic string) (id TopicID, cluster string, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	addTopics(req, topic)
	r, err := Typed[*kmsg.MetadataResponse](c.Any(ctx, req))
	if err == nil && len(r.Topics) != 1 {
		err = fmt.Errorf("kafka: %d topics in the answer, want one", len(r.Topics))
	}
	if err == nil {
		err = CodeError(r.Topics[0].ErrorCode)
	}
	if err != nil {
		return TopicID{}, "", fmt.Errorf("asking for the id of topic %s: %w", topic, err)
	}
	if r.ClusterID != nil {
		cluster = *r.ClusterID
	}
	return r.Topics[0].TopicID, cluster, nil
}

// groupVersion is the feature that switches the protocol on in a cluster (KIP-1022). Brokers of Kafka 3.7 to 3.9 know
// its requests too, but refuse them or cut the connection.
const groupVersion = "group.version"

// OffersConsumerProtocol says whether the cluster takes members of the consumer group protocol (ApiVersions v3).
func (c *Client) OffersConsumerProtocol(ctx context.Context) (bool, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 3
	req.ClientSoftwareName, req.ClientSoftwareVersion = "balanceq", "1"
	r, err := Typed[*kmsg.ApiVersionsResponse](c.Any(ctx, req))
	if err == nil {
		err = CodeError(r.ErrorCode)
	}
	if err != nil {
		return false, fmt.Errorf("asking for the features of the cluster: %w", err)
	}
	on := slices.ContainsFunc(r.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
		return f.Name == groupVersion && f.MaxVersionLevel >= 1
	})
	known := slices.ContainsFunc(r.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool {
		return k.ApiKey == kmsg.ConsumerGroupHeartbeat.Int16() && k.MaxVersion >= 1
	})
	return on && known, nil
}
