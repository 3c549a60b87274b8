package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"strconv"

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
		return false, fmt.Errorf("creating topic %s: %w", t.Name, err)
	}
	return false, nil
}

// ErrNoTopic is wrapped by DescribeTopic's error when the cluster has no topic of that name.
var ErrNoTopic = errors.New("the topic does not exist")

// DescribeTopic reads partitions, replication and those of the given configs that the broker knows.
func (c *Client) DescribeTopic(ctx context.Context, name string, configs ...string) (Topic, error) {
	c.Reset() // cached metadata may be older than the topic
	m, err := c.api.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{name}})
	if err != nil {
		return Topic{}, fmt.Errorf("describing topic %s: %w", name, err)
	}
	t := Topic{Name: name, Configs: map[string]string{}}
	for _, topic := range m.Topics {
		if errors.Is(topic.Error, kafka.UnknownTopicOrPartition) {
			return Topic{}, fmt.Errorf("topic %s: %w", name, ErrNoTopic)
		}
		if topic.Error != nil {
			return Topic{}, fmt.Errorf("describing topic %s: %w", name, topic.Error)
		}
		t.Partitions = len(topic.Partitions)
		for _, p := range topic.Partitions {
			t.ReplicationFactor = len(p.Replicas)
		}
	}
	if t.Partitions == 0 {
		return Topic{}, fmt.Errorf("topic %s: %w", name, ErrNoTopic)
	}
	if len(configs) == 0 {
		return t, nil
	}
	resp, err := c.api.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: name, ConfigNames: configs},
	}})
	if err != nil {
		return t, fmt.Errorf("reading the configuration of topic %s: %w", name, err)
	}
	for _, r := range resp.Resources {
		if r.Error != nil {
			return t, fmt.Errorf("reading the configuration of topic %s: %w", name, r.Error)
		}
		for _, e := range r.ConfigEntries {
			t.Configs[e.ConfigName] = e.ConfigValue
		}
	}
	return t, nil
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
