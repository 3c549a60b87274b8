package kafkawire

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Settings say how to reach a cluster. They serve every connection of the process, kafka-go's own included.
type Settings struct {
	Brokers  []string // bootstrap addresses, host:port
	ClientID string
	TLS      *tls.Config    // nil: plain text
	SASL     sasl.Mechanism // nil: none
}

const (
	dialTimeout = 5 * time.Second
	callTimeout = 10 * time.Second
	metadataTTL = 2 * time.Second // upper bound of how long a moved leader goes unnoticed without an error
)

// Client sends requests to brokers over connections of its own. It is safe for concurrent use. A connection carries one
// request at a time, so a long poll should have a client to itself.
type Client struct {
	transport *kafka.Transport
	api       *kafka.Client
	formatter *kmsg.RequestFormatter
	opened    opened
}

// NewClient connects lazily. It keeps metadata of the given topics only, or of all where none is given.
func NewClient(s Settings, topics ...string) *Client {
	t := &kafka.Transport{
		ClientID: s.ClientID, TLS: s.TLS, SASL: s.SASL,
		DialTimeout: dialTimeout, IdleTimeout: 30 * time.Second,
		MetadataTTL: metadataTTL, MetadataTopics: topics,
		Dial: dialer{bootstrap: s.Brokers, guarded: s.TLS == nil}.dial,
	}
	return &Client{
		transport: t,
		api:       &kafka.Client{Addr: kafka.TCP(s.Brokers...), Transport: t, Timeout: callTimeout},
		formatter: kmsg.NewRequestFormatter(kmsg.FormatterClientID(s.ClientID)),
	}
}

// API is kafka-go's own client on the same connections, for administration.
func (c *Client) API() *kafka.Client { return c.api }

// Reset drops pooled connections and cached metadata. Call it after every failed request: kafka-go neither refreshes
// metadata on NOT_LEADER nor notices that a restarted broker has left its pooled connections dead.
func (c *Client) Reset() { c.transport.CloseIdleConnections() }

// Close ends the client's connections and goroutines.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Any sends a request to whichever broker is at hand.
func (c *Client) Any(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return c.roundTrip(ctx, &exchange{ctx, req, c.formatter})
}

// Broker sends a request to the broker of that node id.
func (c *Client) Broker(ctx context.Context, id int32, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return c.roundTrip(ctx, &brokerExchange{exchange{ctx, req, c.formatter}, id})
}

// Coordinator sends a request to the coordinator of a consumer group.
func (c *Client) Coordinator(ctx context.Context, group string, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return c.roundTrip(ctx, &groupExchange{exchange{ctx, req, c.formatter}, group})
}

// Typed gives an answer the type that its request has: Typed[*T](c.Any(ctx, request)).
func Typed[R kmsg.Response](resp kmsg.Response, err error) (R, error) {
	var none R
	if err != nil {
		return none, err
	}
	r, ok := resp.(R)
	if !ok {
		return none, fmt.Errorf("kafka: unexpected answer %T", resp)
	}
	return r, nil
}

// bounded gives every call a deadline: a broker that hangs would block it for ever.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}

func (c *Client) roundTrip(ctx context.Context, msg kafka.Request) (kmsg.Response, error) {
	m, err := c.transport.RoundTrip(ctx, c.api.Addr, msg)
	if err != nil {
		return nil, err
	}
	answer, ok := m.(*answer)
	if !ok {
		return nil, fmt.Errorf("kafka: unexpected answer %T", m)
	}
	return answer.resp, nil
}

// Leaders returns the node id of each partition's leader; a partition without one is missing. The answer may be
// metadataTTL old; after Reset it is fresh.
func (c *Client) Leaders(ctx context.Context, topic string) (leaders map[int32]int32, partitions int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := c.api.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, 0, fmt.Errorf("reading metadata of %s: %w", topic, err)
	}
	if len(m.Topics) != 1 {
		return nil, 0, fmt.Errorf("reading metadata of %s: %w", topic, kafka.UnknownTopicOrPartition)
	}
	t := m.Topics[0]
	if t.Error != nil {
		return nil, 0, fmt.Errorf("reading metadata of %s: %w", topic, t.Error)
	}
	leaders = make(map[int32]int32, len(t.Partitions))
	for _, p := range t.Partitions {
		if p.Error == nil && p.Leader.Host != "" {
			leaders[wireInt(p.ID)] = wireInt(p.Leader.ID)
		}
	}
	return leaders, len(t.Partitions), nil
}

// Partitions returns the ids of all partitions of a topic, in ascending order, as old as in Leaders.
func (c *Client) Partitions(ctx context.Context, topic string) ([]int32, error) {
	_, n, err := c.Leaders(ctx, topic)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = wireInt(i)
	}
	return ids, nil
}

// Kinds of coordinators.
const (
	groupKey       = int8(0)
	transactionKey = int8(1)
)

// GroupCoordinator returns the node id of the broker that coordinates a group, or the error that says why there is
// none.
func (c *Client) GroupCoordinator(ctx context.Context, group string) (int32, error) {
	return c.coordinatorOf(ctx, groupKey, group)
}

// coordinatorOf asks who coordinates a group or a transactional id (FindCoordinator v2). kafka-go does so too, but
// drops the error that comes with it.
func (c *Client) coordinatorOf(ctx context.Context, kind int8, key string) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version = 2
	req.CoordinatorType, req.CoordinatorKey = kind, key
	r, err := Typed[*kmsg.FindCoordinatorResponse](c.Any(ctx, req))
	if err != nil {
		return 0, err
	}
	return r.NodeID, CodeError(r.ErrorCode)
}
