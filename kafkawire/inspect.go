package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What is asked before the start of a member, and by nobody who is at work: it changes nothing in the cluster.

// Operations are what the brokers let this client do with a topic or a group (KIP-430), as a set.
type Operations int32

// unknownOperations is what brokers say that were not asked, or cannot say.
const unknownOperations = Operations(-1 << 31)

// AllowRead says that records may be read, or the group be joined. Unless the brokers say that not, it is true.
func (o Operations) AllowRead() bool { return o.allow(kmsg.ACLOperationRead) }

// AllowWrite says that records may be written. Unless the brokers say that not, it is true.
func (o Operations) AllowWrite() bool { return o.allow(kmsg.ACLOperationWrite) }

func (o Operations) allow(op kmsg.ACLOperation) bool {
	return o == unknownOperations || o&(1<<uint(op)) != 0
}

// Forbidden says that the brokers' ACLs lack something for this client.
func Forbidden(err error) bool {
	return errors.Is(err, kafka.TopicAuthorizationFailed) || errors.Is(err, kafka.GroupAuthorizationFailed) ||
		errors.Is(err, kafka.ClusterAuthorizationFailed) || errors.Is(err, kafka.TransactionalIDAuthorizationFailed)
}

// LoginRefused says that the brokers do not take the SASL user and password, or the mechanism.
func LoginRefused(err error) bool {
	return errors.Is(err, kafka.SASLAuthenticationFailed) || errors.Is(err, kafka.UnsupportedSASLMechanism)
}

// NoCoordinator says that nobody coordinates the group or transactional id, at least at the moment.
func NoCoordinator(err error) bool { return errors.Is(err, kafka.GroupCoordinatorNotAvailable) }

// TopicOperations asks what this client may do with the topics (Metadata v9). A topic that it may not even see allows nothing;
// one that does not exist is missing. (Whoever asks for all topics does not get to see the first kind either.)
func (c *Client) TopicOperations(ctx context.Context, topics []string) (map[string]Operations, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	addTopics(req, topics...)
	req.IncludeTopicAuthorizedOperations = true
	r, err := typed[*kmsg.MetadataResponse](c.Any(ctx, req))
	if err != nil {
		return nil, fmt.Errorf("asking for the rights on topics: %w", err)
	}
	operations := map[string]Operations{}
	for i := range r.Topics {
		t := &r.Topics[i]
		switch err := codeError(t.ErrorCode); {
		case t.Topic == nil:
		case Forbidden(err):
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
const ClassicType = consumerProtocol

// DescribeGroup asks who is in a group (DescribeGroups v5). A group that does not exist has no members. consumer says that the
// cluster offers the consumer group protocol: only then there can be such members (ConsumerGroupDescribe v0).
func (c *Client) DescribeGroup(ctx context.Context, group string, consumer bool) (Group, error) {
	coordinator, err := c.coordinatorOf(ctx, groupKey, group)
	if err != nil {
		return Group{}, fmt.Errorf("describing group %s: %w", group, err)
	}
	described, err := c.describeClassic(ctx, coordinator, group)
	if err == nil && consumer && len(described.Clients) == 0 {
		err = c.addConsumers(ctx, coordinator, group, &described)
	}
	if err != nil {
		return Group{}, fmt.Errorf("describing group %s: %w", group, err)
	}
	return described, nil
}

func (c *Client) describeClassic(ctx context.Context, coordinator int32, group string) (Group, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Version = 5
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	r, err := typed[*kmsg.DescribeGroupsResponse](c.Broker(ctx, coordinator, req))
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
	return described, codeError(g.ErrorCode)
}

// addConsumers leaves a group as it is that is not of the consumer group protocol.
func (c *Client) addConsumers(ctx context.Context, coordinator int32, group string, described *Group) error {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Version = 0
	req.Groups = []string{group}
	r, err := typed[*kmsg.ConsumerGroupDescribeResponse](c.Broker(ctx, coordinator, req))
	if err == nil && len(r.Groups) != 1 {
		err = fmt.Errorf("kafka: %d groups in the answer, want one", len(r.Groups))
	}
	if err != nil {
		return err
	}
	g := &r.Groups[0]
	if err := codeError(g.ErrorCode); err != nil && !errors.Is(err, kafka.GroupIdNotFound) {
		return err
	}
	described.Consumer = len(g.Members) > 0
	for i := range g.Members {
		described.Clients = append(described.Clients, g.Members[i].ClientID)
	}
	return nil
}

// DescribeTransactional asks for the state of a transactional id (DescribeTransactions v0), such as Ongoing or CompleteCommit;
// "" means that it was never used, or not for a long time. Unlike InitTransactional, it fences nobody.
func (c *Client) DescribeTransactional(ctx context.Context, id string) (string, error) {
	coordinator, err := c.coordinatorOf(ctx, transactionKey, id)
	if err != nil {
		return "", fmt.Errorf("describing transactional id %s: %w", id, err)
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.Version = 0
	req.TransactionalIDs = []string{id}
	r, err := typed[*kmsg.DescribeTransactionsResponse](c.Broker(ctx, coordinator, req))
	if err == nil && len(r.TransactionStates) != 1 {
		err = fmt.Errorf("kafka: %d ids in the answer, want one", len(r.TransactionStates))
	}
	if err != nil {
		return "", fmt.Errorf("describing transactional id %s: %w", id, err)
	}
	state := &r.TransactionStates[0]
	if state.ErrorCode == int16(transactionalIDNotFound) {
		return "", nil
	}
	if err := codeError(state.ErrorCode); err != nil {
		return "", fmt.Errorf("describing transactional id %s: %w", id, err)
	}
	return state.State, nil
}

const transactionalIDNotFound = kafka.Error(105)

// Kinds of coordinators.
const (
	groupKey       = int8(0)
	transactionKey = int8(1)
)

// coordinatorOf asks who coordinates a group or a transactional id (FindCoordinator v2). kafka-go does so too, but drops the
// error that comes with it.
func (c *Client) coordinatorOf(ctx context.Context, kind int8, key string) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version = 2
	req.CoordinatorType, req.CoordinatorKey = kind, key
	r, err := typed[*kmsg.FindCoordinatorResponse](c.Any(ctx, req))
	if err != nil {
		return 0, err
	}
	return r.NodeID, codeError(r.ErrorCode)
}

// BrokerConfigs returns those of the given configs that a broker of the cluster has and shows to this client: none where it
// lacks the right to see them.
func (c *Client) BrokerConfigs(ctx context.Context, names ...string) (map[string]string, error) {
	brokers, err := c.listBrokers(ctx)
	if err != nil {
		return nil, err
	}
	id := strconv.Itoa(brokers[0].ID)
	resp, err := c.api.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeBroker, ResourceName: id, ConfigNames: names},
	}})
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of broker %s: %w", id, err)
	}
	configs := map[string]string{}
	for _, r := range resp.Resources {
		if r.Error != nil && !Forbidden(r.Error) {
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
