package kafkatest

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// WithoutLeader makes metadata say from now on that a partition of the topic "topic", which has three, has no leader.
func WithoutLeader(cluster *kfake.Cluster, partition int32) {
	cluster.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version = req.GetVersion()
		for i, addr := range cluster.ListenAddrs() {
			var host string
			var port int32
			if i := strings.LastIndexByte(addr, ':'); i >= 0 {
				host = addr[:i]
				_, _ = fmt.Sscan(addr[i+1:], &port)
			}
			resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: int32(i), Host: host, Port: port})
		}
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("topic")
		for id := range int32(3) {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader = id, cluster.LeaderFor("topic", id)
			if id == partition {
				p.Leader, p.ErrorCode = -1, kerr.LeaderNotAvailable.Code
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
}
