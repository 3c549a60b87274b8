package consumer

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// logID says which log offsets are about. A topic that was deleted and made again has another id (KIP-516); offsets of
// the one before mean nothing in it. The cluster is in it because MirrorMaker copies what is committed to another one,
// where every topic has another id.
type logID struct {
	topic   kafkawire.TopicID
	cluster uint32 // CRC-32 of the cluster's id
}

func (l logID) known() bool { return l.topic != kafkawire.TopicID{} }

// text is the topic's id as Kafka prints it, "" if it is not known.
func (l logID) text() string {
	if !l.known() {
		return ""
	}
	return l.topic.String()
}

// replaced says that offsets of this log were committed in the same cluster before the topic was made again.
func (l logID) replaced(by logID) bool {
	return l.known() && by.known() && l.cluster == by.cluster && l.topic != by.topic
}

// identify asks which log the topic has now. A broker whose metadata lags may name one that was left already.
func (c *Consumer) identify(ctx context.Context) (logID, error) {
	id, cluster, err := c.wire.IdentifyTopic(ctx, c.cfg.Topic)
	if err != nil {
		return logID{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.former[id] {
		return logID{}, fmt.Errorf("a broker still names the former topic %s: %w", id, kafka.UnknownTopicOrPartition)
	}
	return logID{topic: id, cluster: crc32.ChecksumIEEE([]byte(cluster))}, nil
}
