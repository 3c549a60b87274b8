package kafkawire

import (
	"time"

	"github.com/segmentio/kafka-go"
)

// Header is one record header; a nil Value is null. It is the same type as schemas.Header: neither has a name of its
// own.
type Header = struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Key, Value and header values alias the answer they were decoded from; nil is null.
type Record struct {
	Offset      int64
	LeaderEpoch int32 // under which it was written; offset and epoch name a record even where a log has lost its tail
	Time        time.Time
	Key         []byte
	Value       []byte
	Headers     []Header
	// Oversized, if set, says that the record was not read whole: it has no value and no headers then.
	Oversized *Oversized
}

// KeyPartition picks one of the partitions as Java's default partitioner does for the key, so that streams can be
// joined on it.
func KeyPartition(key []byte, partitions ...int) int {
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: key}, partitions...)
}
