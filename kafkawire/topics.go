package kafkawire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topic describes a topic, as it is or as it should be.
type Topic struct {
	Name              string
	Partitions        int
	ReplicationFactor int               // -1: the cluster's default
	Configs           map[string]string // by the broker's names, such as max.message.bytes
}

// CreateTopic creates a topic; existed says that there was one of that name already, which is left as it is.
func (c *Client) CreateTopic(ctx context.Context, t Topic) (existed bool, err error) {
	cfg := kafka.TopicConfig{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.ReplicationFactor}
	for name, value := range t.Configs {
		cfg.ConfigEntries = append(cfg.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	resp, err := c.api.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{cfg}})
	if err == nil {
		err = resp.Errors[t.Name]
	}
	if errors.Is(err, kafka.TopicAlreadyExists) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("creating topic %s: %w", t.Name, Cause(err))
	}
	return false, nil
}

// ErrNoTopic is wrapped by DescribeTopic's error when the cluster has no topic of that name.
var ErrNoTopic = errors.New("the topic does not exist")

// DescribeTopic is DescribeTopics for one.
func (c *Client) DescribeTopic(ctx context.Context, name string, configs ...string) (Topic, error) {
	topics, failed, err := c.DescribeTopics(ctx, []string{name}, configs...)
	return topics[name], cmp.Or(err, failed[name])
}

// DescribeTopics reads partitions, replication and those of the given configs that the broker knows, of each topic. It
// asks for all of them at once. A topic that is not described, or not with its configs, has an error of its own; err is
// that of a request.
func (c *Client) DescribeTopics(
	ctx context.Context, names []string, configs ...string,
) (topics map[string]Topic, failed map[string]error, err error) {
	topics, failed, err = c.layOf(ctx, names)
	if err != nil || len(topics) == 0 || len(configs) == 0 {
		return topics, failed, err
	}
	var asked []kafka.DescribeConfigRequestResource
	for name := range topics {
		asked = append(asked, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic,
			ResourceName: name, ConfigNames: configs})
	}
	resp, err := c.api.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: asked})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration of topic %s: %w", strings.Join(names, ", "), Cause(err))
	}
	for _, r := range resp.Resources {
		if r.Error != nil {
			failed[r.ResourceName] = fmt.Errorf("reading the configuration of topic %s: %w", r.ResourceName, r.Error)
			continue
		}
		for _, e := range r.ConfigEntries {
			topics[r.ResourceName].Configs[e.ConfigName] = e.ConfigValue
		}
	}
	return topics, failed, nil
}

// layOf reads partitions and replication of topics as they are now: cached metadata may be older than a topic
// (Metadata v9).
func (c *Client) layOf(
	ctx context.Context, names []string,
) (topics map[string]Topic, failed map[string]error, err error) {
	topics, failed = map[string]Topic{}, map[string]error{}
	if len(names) == 0 {
		return topics, failed, nil // the request would mean all topics
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	addTopics(req, names...)
	r, err := Typed[*kmsg.MetadataResponse](c.Any(ctx, req))
	if err != nil {
		return nil, nil, fmt.Errorf("describing topic %s: %w", strings.Join(names, ", "), err)
	}
	for _, name := range names {
		failed[name] = fmt.Errorf("topic %s: %w", name, ErrNoTopic)
	}
	for i := range r.Topics {
		m := &r.Topics[i]
		switch err := CodeError(m.ErrorCode); {
		case m.Topic == nil || errors.Is(err, kafka.UnknownTopicOrPartition):
		case err != nil:
			failed[*m.Topic] = fmt.Errorf("describing topic %s: %w", *m.Topic, err)
		case len(m.Partitions) > 0:
			delete(failed, *m.Topic)
			topics[*m.Topic] = Topic{Name: *m.Topic, Partitions: len(m.Partitions), Configs: map[string]string{},
				ReplicationFactor: len(m.Partitions[0].Replicas)}
		}
	}
	return topics, failed, nil
}

// MaxMessageBytes returns max.message.bytes of a described topic; 0: not known.
func (t Topic) MaxMessageBytes() int {
	n, err := strconv.Atoi(t.Configs["max.message.bytes"])
	if err != nil {
		return 0
	}
	return n
}

// addTopics has the request ask for these topics only.
func addTopics(req *kmsg.MetadataRequest, topics ...string) {
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
}
