package kafkawire

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Settings say how to reach a cluster. They serve every connection of the process, kafka-go's own included.
type Settings struct {
	Brokers  []string // bootstrap addresses, host:port
	ClientID string
	TLS      func() *tls.Config // asked for each connection; nil: plain text
	SASL     Login              // nil: none
	// Metadata is how old what is known of leaders and partitions may be where no request has failed; 0: 2 s.
	Metadata time.Duration
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

	coordinators coordinators
}

// NewClient connects lazily. Once it is used, it keeps metadata of the given topics only, or of all where none is
// given.
func NewClient(s Settings, topics ...string) *Client {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(s.ClientID))
	s.Metadata = cmp.Or(s.Metadata, metadataTTL)
	t := &kafka.Transport{
		ClientID:    s.ClientID,
		DialTimeout: dialTimeout, IdleTimeout: 30 * time.Second,
		MetadataTTL: s.Metadata, MetadataTopics: topics,
		Dial: dialer{s, f}.dial,
	}
	return &Client{
		transport: t,
		api:       &kafka.Client{Addr: kafka.TCP(s.Brokers...), Transport: t, Timeout: callTimeout},
		formatter: f,
	}
}

// API is kafka-go's own client on the same connections, for administration.
func (c *Client) API() *kafka.Client { return c.api }

// Reset drops pooled connections, cached metadata and what is known of coordinators. Call it after every failed
// request: kafka-go neither refreshes metadata on NOT_LEADER nor notices that a restarted broker has left its pooled
// connections dead.
func (c *Client) Reset() {
	c.coordinators.forgetAll()
	c.transport.CloseIdleConnections()
}

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

// Connect opens connections that will be used soon, to the leaders of a topic and to the coordinator of a group ("": of
// none), so that the first requests need not wait for them. What cannot be connected to by then, those find out.
func (c *Client) Connect(ctx context.Context, topic, group string) {
	var connecting sync.WaitGroup
	defer connecting.Wait()
	connect := func(broker int32) { _, _ = c.Broker(ctx, broker, kmsg.NewPtrApiVersionsRequest()) }
	if group != "" {
		connecting.Go(func() {
			if id, err := c.GroupCoordinator(ctx, group); err == nil {
				connect(id)
			}
		})
	}
	leaders, _, err := c.Leaders(ctx, topic)
	if err != nil {
		return
	}
	seen := map[int32]bool{}
	for _, leader := range leaders {
		if !seen[leader] {
			seen[leader] = true
			connecting.Go(func() { connect(leader) })
		}
	}
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
// Settings.Metadata old; after Reset it is fresh.
func (c *Client) Leaders(ctx context.Context, topic string) (leaders map[int32]int32, partitions int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := c.api.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, 0, fmt.Errorf("reading metadata of %s: %w", topic, Cause(err))
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
