package schemas

import (
	"encoding/binary"
	"strings"
)

// Headers by which a publisher asks for a copy of the result in a topic of its own. They are Spring's
// (org.springframework.kafka.support.KafkaHeaders), and Nest's.
const (
	HeaderReplyTopic     = "kafka_replyTopic"     // its name
	HeaderReplyPartition = "kafka_replyPartition" // its number, 4 bytes, big-endian; absent: by the key
)

// Limits of the headers that come back on results.
const (
	MaxEchoHeaders = 8    // names
	MaxEchoValue   = 1024 // bytes of one value
)

// NoPartition stands for the partition that the hash of the key gives.
const NoPartition = -1

// Reply is where a copy of the result goes, besides the results topic.
type Reply struct {
	Topic     string
	Partition int32 // or NoPartition
}

// OwnHeader says whether a name has a meaning on results or dead letters, or to those who decode values, so that a
// request's header of that name must not come back: it would say something else there. Names that begin with two
// underscores are Kafka's (KIP-1191), those of schema registries and of Spring's type mapping.
func OwnHeader(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case HeaderContentType, HeaderTraceparent, HeaderTracestate:
		return true
	}
	for _, prefix := range []string{"ce_", "balanceq-", "__"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Echo returns the headers of those names that a record has, of several the last one, in the order of names. Values
// are the record's own, byte for byte, null as well. What is longer than MaxEchoValue is left out whole, and counted: a
// part of a correlation id would be another one's.
func Echo(rec *Record, names []string) (echo []Header, tooLong int) {
	for _, name := range names {
		value, there := rec.Header(name)
		switch {
		case !there:
		case len(value) > MaxEchoValue:
			tooLong++
		default:
			echo = append(echo, Header{Key: name, Value: value})
		}
	}
	return echo, tooLong
}

// ReadReply returns the topic that a record wants the result copied to ("": none), and the partition. A partition that
// cannot be read counts as absent, and is said to be malformed. The topic's name is as it came.
func ReadReply(rec *Record) (topic []byte, partition int32, malformed bool) {
	topic, _ = rec.Header(HeaderReplyTopic)
	number, there := rec.Header(HeaderReplyPartition)
	if len(topic) == 0 || !there {
		return topic, NoPartition, false
	}
	if len(number) != 4 || number[0]&0x80 != 0 {
		return topic, NoPartition, true
	}
	return topic, int32(binary.BigEndian.Uint32(number)), false //nolint:gosec // not negative
}
