package schemas

import (
	"strconv"
	"time"
)

// Position names one record of one topic. It is the identity from which ids are derived when a request brings none.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// String returns "topic/partition/offset".
func (p Position) String() string {
	return p.Topic + "/" + strconv.Itoa(int(p.Partition)) + "/" + strconv.FormatInt(p.Offset, 10)
}

// LogID says in which log a position was counted. A topic that was deleted and made again has another id under the same
// name (KIP-516), and a log that lost its tail writes other records to the same offsets, under a later leader epoch
// (KIP-101).
type LogID struct {
	TopicID     string // as Kafka prints it; "": not known
	LeaderEpoch int32  // of the record's batch
}

// Header is one Kafka record header. A nil Value is a null header value, which differs from an empty one. It has no
// name of its own as a type, so that it is the same as kafkawire's and headers pass between the two without a copy.
type Header = struct {
	Key   string
	Value []byte
}

// Record is a Kafka record as it was read. Key and Value alias the fetch buffer and must not be changed; nil means
// null.
type Record struct {
	Position
	Log     LogID
	Key     []byte
	Value   []byte
	Headers []Header
	Time    time.Time
	// Oversized, if set, says that the record was too large to be read whole.
	Oversized *Oversized
}

// Oversized stands for what was not read of a record: it is beyond a limit, or cannot be decompressed within the memory
// that decoding may use. The record's offset and time are known then, and its key if that is no longer than 64 KiB;
// value and headers are nil. It has no name of its own as a type, so that it is the same in kafkawire.
type Oversized = struct {
	Why     string   // for people
	Size    int64    // bytes of the encoded record; -1: not known
	Headers int64    // how many; -1: not known
	Value   int64    // bytes of the value; -1: null, or not known
	SHA256  [32]byte // of the value; zero where that is null or not known
}

// Header returns the value of the last header of that name, as Kafka's own lastHeader does.
func (r *Record) Header(name string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Message is a record to be written: the producer adds nothing to it but the topic's partition.
type Message struct {
	Key     []byte
	Value   []byte
	Headers []Header
	Time    time.Time
}
