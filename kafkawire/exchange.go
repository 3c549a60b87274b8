package kafkawire

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/poison"
)

// maxResponse bounds what is allocated for one answer. The size field of something that is not a Kafka broker (an HTTP
// server's "HTTP" reads as 1.2 GB) must not become an allocation.
const maxResponse = 256 << 20

// exchange is a request that kafka-go's Transport carries as is: the RawExchanger hook hands it the pooled connection
// after dialling, TLS and SASL.
type exchange struct {
	ctx       context.Context //nolint:containedctx // of the caller: kafka-go's hook RawExchange is called without one
	req       kmsg.Request
	formatter *kmsg.RequestFormatter
}

// answer is what an exchange returns through the Transport.
type answer struct {
	exchange
	resp kmsg.Response
}

type brokerExchange struct {
	exchange
	broker int32
}

var (
	_ protocol.RawExchanger  = (*exchange)(nil)
	_ protocol.BrokerMessage = (*brokerExchange)(nil)
)

// Broker routes by node id.
func (e *brokerExchange) Broker(c protocol.Cluster) (protocol.Broker, error) {
	b, ok := c.Brokers[e.broker]
	if !ok {
		return b, fmt.Errorf("kafka: broker %d is not in the cluster's metadata: it has stopped, or the others miss it",
			e.broker)
	}
	return b, nil
}

// ApiKey names the request (the spelling is kafka-go's).
//
//nolint:revive // kafka-go's interface
func (e *exchange) ApiKey() protocol.ApiKey { return protocol.ApiKey(e.req.Key()) }

// Required says that this message always does its own exchange.
func (e *exchange) Required(map[protocol.ApiKey]int16) bool { return true }

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// RawExchange writes the request and reads the answer. Connections carry one request at a time, so the correlation id
// only guards against a stream that has lost its place.
//
// kafka-go knows deadlines but does not look at cancellation: without help, a caller that gave up would leave a
// goroutine and a connection waiting for a broker that may never answer. The help: as ctx ends, the connection's
// deadline passes. That may happen just as the answer is complete; then the connection must not go back to the pool
// with that deadline on it, and an error is what keeps it out. By then the caller has gone.
func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if conn, ok := rw.(interface{ SetDeadline(time.Time) error }); ok {
		stop := context.AfterFunc(e.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		resp, err := e.converse(rw)
		if !stop() && err == nil {
			err = context.Cause(e.ctx)
		}
		return resp, err
	}
	return e.converse(rw)
}

func (e *exchange) converse(rw io.ReadWriter) (protocol.Message, error) {
	const correlation = 0x62616c71
	if err := e.send(rw, correlation); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if err := checkSize(size); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	if id := binary.BigEndian.Uint32(head[:]); id != correlation {
		return nil, fmt.Errorf("kafka: answer to another request (correlation id %#x)", id)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(rw, body); err != nil {
		return nil, err
	}
	resp := e.req.ResponseKind()
	resp.SetVersion(e.req.GetVersion())
	if resp.IsFlexible() && e.req.Key() != kmsg.ApiVersions.Int16() { // whose header has no tags in any version (KIP-511)
		var err error
		if body, err = skipTags(body); err != nil {
			return nil, err
		}
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("kafka: decoding the answer to request %d: %w", e.req.Key(), err)
	}
	return &answer{exchange: *e, resp: resp}, nil
}

// send writes the request. Its buffer is free from then on: kept until the answer, each request that waits for one
// would have a buffer that was once as large as the largest of all.
func (e *exchange) send(w io.Writer, correlation int32) error {
	buf, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	*buf = e.formatter.AppendRequest(slices.Grow((*buf)[:0], batchBytes(e.req)), e.req, correlation)
	_, err := w.Write(*buf)
	poison.Bytes(*buf)
	return err
}

// batchBytes is how much of a request is records. Those of a transaction are megabytes, and a buffer that grows to that
// step by step leaves three times as much behind.
func batchBytes(req kmsg.Request) (n int) {
	p, ok := req.(*kmsg.ProduceRequest)
	if !ok {
		return 0
	}
	const around = 64 // what stands around a partition's
	for i := range p.Topics {
		for j := range p.Topics[i].Partitions {
			n += around + len(p.Topics[i].Partitions[j].Records)
		}
	}
	return n + around
}

func checkSize(size uint32) error {
	if size < 4 || size > maxResponse {
		return fmt.Errorf("kafka: answer of %d bytes: is this address a Kafka broker's?", size)
	}
	return nil
}

// skipTags drops the tagged fields of a flexible response header (KIP-482).
func skipTags(b []byte) ([]byte, error) {
	c := cursor{b: b}
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		c.uvarint()
		c.take(int(c.uvarint()))
	}
	if c.bad {
		return nil, io.ErrUnexpectedEOF
	}
	return c.b, nil
}
