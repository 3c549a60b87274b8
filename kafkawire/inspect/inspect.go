// Package inspect asks a cluster what it is like: what its brokers take and how they are configured, what this client
// may do, and who is in a group. It is for checks before the start and for tools; it changes nothing in the cluster.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/kafkawire"
)

// Operations are what the brokers let this client do with a topic or a group (KIP-430), as a set.
type Operations int32

// unknownOperations is what brokers say that were not asked, or cannot say.
const unknownOperations = Operations(-1 << 31)

// operations are those that somebody asks for, by the names that kafka-acls.sh has for them.
var operations = map[string]kmsg.ACLOperation{
	"Read": kmsg.ACLOperationRead, "Write": kmsg.ACLOperationWrite, "Describe": kmsg.ACLOperationDescribe,
	"DescribeConfigs": kmsg.ACLOperationDescribeConfigs,
}

// Allow says that an operation, Read, Write, Describe or DescribeConfigs, is allowed. Unless the brokers say that it
// is not, it is true. Read of a group is to join it.
func (o Operations) Allow(operation string) bool {
	return o == unknownOperations || o&(1<<operations[operation]) != 0
}

// TopicOperations asks what this client may do with the topics (Metadata v9). A topic that it may not even see allows
// nothing; one that does not exist is missing. (A request for all topics does not show the first kind either.)
func TopicOperations(ctx context.Context, c *kafkawire.Client, topics []string) (map[string]Operations, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
	}
	req.IncludeTopicAuthorizedOperations = true
	r, err := kafkawire.Typed[*kmsg.MetadataResponse](c.Any(ctx, req))
	if err != nil {
		return nil, fmt.Errorf("asking for the rights on topics: %w", err)
	}
	operations := map[string]Operations{}
	for i := range r.Topics {
		t := &r.Topics[i]
		switch err := kafkawire.CodeError(t.ErrorCode); {
		case t.Topic == nil:
		case kafkawire.Forbidden(err):
			operations[*t.Topic] = 0
		case err == nil:
			operations[*t.Topic] = Operations(t.AuthorizedOperations)
		}
	}
	return operations, nil
}

// Group is a consumer group as its coordinator sees it.
type Group struct {
	Consumer   bool   // its members speak the consumer group protocol (KIP-848), at least one of them
	Type       string // protocol type of a classic group, "consumer" where it shares out partitions; "" without members
	Strategy   string // assignor of a classic group; "" while it rebalances
	State      string // as Kafka names it: Empty, PreparingRebalance, Assigning, Stable, …
	Members    []Member
	Operations Operations
}

// Member is a member of a group.
type Member struct {
	ID         string
	InstanceID string // of a static member (KIP-345); "": dynamic
	ClientID   string
	Host       string // as the coordinator sees it, without the slash that Kafka puts before it
	Assigned   []Assigned
}

// Assigned are partitions that a member holds; of a classic group none while it rebalances.
type Assigned struct {
	Topic      string            // "": the brokers name the id only
	ID         kafkawire.TopicID // zero: the brokers name the topic only, as in a classic group
	Partitions []int32
}

// Holds returns the partitions of a topic that the member holds, in ascending order.
func (m Member) Holds(topic string, id kafkawire.TopicID) []int32 {
	held := []int32{}
	for _, a := range m.Assigned {
		if a.Topic == topic || a.Topic == "" && a.ID == id {
			held = append(held, a.Partitions...)
		}
	}
	slices.Sort(held)
	return held
}

// Clients returns the client id of each member.
func (g Group) Clients() []string {
	ids := make([]string, len(g.Members))
	for i := range g.Members {
		ids[i] = g.Members[i].ClientID
	}
	return ids
}

// ClassicType is the protocol type of classic groups that share out partitions.
const ClassicType = kafkawire.ConsumerProtocol

// DescribeGroup asks who is in a group (DescribeGroups v5). A group that does not exist has no members. consumer says
// that the cluster offers the consumer group protocol: only then there can be such members (ConsumerGroupDescribe v0).
func DescribeGroup(ctx context.Context, c *kafkawire.Client, group string, consumer bool) (Group, error) {
	coordinator, err := c.GroupCoordinator(ctx, group)
	if err != nil {
		return Group{}, fmt.Errorf("describing group %s: %w", group, err)
	}
	described, err := describeClassic(ctx, c, coordinator, group)
	if err == nil && consumer && len(described.Members) == 0 {
		err = addConsumers(ctx, c, coordinator, group, &described)
	}
	if err != nil {
		return Group{}, fmt.Errorf("describing group %s: %w", group, err)
	}
	return described, nil
}

func describeClassic(ctx context.Context, c *kafkawire.Client, coordinator int32, group string) (Group, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version = 5
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	r, err := kafkawire.Typed[*kmsg.DescribeGroupsResponse](c.Broker(ctx, coordinator, req))
	if err == nil && len(r.Groups) != 1 {
		err = fmt.Errorf("kafka: %d groups in the answer, want one", len(r.Groups))
	}
	if err != nil {
		return Group{}, err
	}
	g := &r.Groups[0]
	described := Group{Type: g.ProtocolType, Strategy: g.Protocol, State: g.State,
		Operations: Operations(g.AuthorizedOperations)}
	for i := range g.Members {
		m := &g.Members[i]
		a, err := kafkawire.DecodeAssignment(m.MemberAssignment)
		if err != nil && g.ProtocolType == ClassicType { // others have a form of their own
			return described, fmt.Errorf("assignment of member %s: %w", m.MemberID, err)
		}
		member := Member{ID: m.MemberID, InstanceID: orNone(m.InstanceID), ClientID: m.ClientID, Host: host(m.ClientHost)}
		for topic, partitions := range a.Partitions {
			member.Assigned = append(member.Assigned, Assigned{Topic: topic, Partitions: partitions})
		}
		described.Members = append(described.Members, member)
	}
	return described, kafkawire.CodeError(g.ErrorCode)
}

// addConsumers leaves a group as it is that is not of the consumer group protocol.
func addConsumers(ctx context.Context, c *kafkawire.Client, coordinator int32, group string, described *Group) error {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version = 0
	req.Groups = []string{group}
	r, err := kafkawire.Typed[*kmsg.ConsumerGroupDescribeResponse](c.Broker(ctx, coordinator, req))
	if err == nil && len(r.Groups) != 1 {
		err = fmt.Errorf("kafka: %d groups in the answer, want one", len(r.Groups))
	}
	if err != nil {
		return err
	}
	g := &r.Groups[0]
	if err := kafkawire.CodeError(g.ErrorCode); err != nil && !errors.Is(err, kafka.GroupIdNotFound) {
		return err
	}
	described.Consumer = len(g.Members) > 0
	if described.Consumer {
		described.State = g.State
	}
	for i := range g.Members {
		m := &g.Members[i]
		member := Member{ID: m.MemberID, InstanceID: orNone(m.InstanceID), ClientID: m.ClientID, Host: host(m.ClientHost)}
		for _, t := range m.Assignment.TopicPartitions {
			member.Assigned = append(member.Assigned, Assigned{t.Topic, t.TopicID, t.Partitions})
		}
		described.Members = append(described.Members, member)
	}
	return nil
}

func orNone(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// host is an address as Java prints it: "/10.0.0.7".
func host(s string) string { return strings.TrimPrefix(s, "/") }

// BrokerConfigs returns those of the given configs that a broker of the cluster has. Where this client may not see
// them, the error is kafkawire.Forbidden.
func BrokerConfigs(ctx context.Context, c *kafkawire.Client, names ...string) (map[string]string, error) {
	brokers, err := ListBrokers(ctx, c)
	if err != nil {
		return nil, err
	}
	id := strconv.Itoa(int(brokers[0].ID))
	resp, err := c.API().
		DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeBroker, ResourceName: id, ConfigNames: names},
		}})
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of broker %s: %w", id, err)
	}
	configs := map[string]string{}
	for _, r := range resp.Resources {
		if r.Error != nil {
			return nil, fmt.Errorf("reading the configuration of broker %s: %w", id, r.Error)
		}
		for _, e := range r.ConfigEntries {
			if slices.Contains(names, e.ConfigName) {
				configs[e.ConfigName] = e.ConfigValue
			}
		}
	}
	return configs, nil
}
