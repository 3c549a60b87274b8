// Package inspect asks a cluster what it is like: which requests its brokers take, what this client may do, who is in a
// group, and how the brokers are configured. It is for checks before the start and for tools; it changes nothing in the
// cluster.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/kafkawire"
)

// Operations are what the brokers let this client do with a topic or a group (KIP-430), as a set.
type Operations int32

// unknownOperations is what brokers say that were not asked, or cannot say.
const unknownOperations = Operations(-1 << 31)

// AllowRead says that records may be read, or the group be joined. Unless the brokers say that not, it is true.
func (o Operations) AllowRead() bool { return o.allow(kmsg.ACLOperationRead) }

// AllowWrite says that records may be written. Unless the brokers say that not, it is true.
func (o Operations) AllowWrite() bool { return o.allow(kmsg.ACLOperationWrite) }

func (o Operations) allow(op kmsg.ACLOperation) bool {
	return o == unknownOperations || o&(1<<op) != 0
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
	Consumer   bool     // its members speak the consumer group protocol (KIP-848), at least one of them
	Type       string   // protocol type of a classic group, "consumer" where it shares out partitions; "" without members
	Strategy   string   // assignor of a classic group; "" while it rebalances
	Clients    []string // client id of each member
	Operations Operations
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
	if err == nil && consumer && len(described.Clients) == 0 {
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
	described := Group{Type: g.ProtocolType, Strategy: g.Protocol, Operations: Operations(g.AuthorizedOperations)}
	for i := range g.Members {
		described.Clients = append(described.Clients, g.Members[i].ClientID)
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
	for i := range g.Members {
		described.Clients = append(described.Clients, g.Members[i].ClientID)
	}
	return nil
}

// BrokerConfigs returns those of the given configs that a broker of the cluster has and shows to this client: none
// where it lacks the right to see them.
func BrokerConfigs(ctx context.Context, c *kafkawire.Client, names ...string) (map[string]string, error) {
	brokers, err := listBrokers(ctx, c)
	if err != nil {
		return nil, err
	}
	id := strconv.Itoa(brokers[0].ID)
	resp, err := c.API().
		DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeBroker, ResourceName: id, ConfigNames: names},
		}})
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of broker %s: %w", id, err)
	}
	configs := map[string]string{}
	for _, r := range resp.Resources {
		if r.Error != nil && !kafkawire.Forbidden(r.Error) {
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
