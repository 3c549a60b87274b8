package inspect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/kafkawire"
)

// API is a request in the version in which we send it. What kafka-go sends by itself is not among them: it negotiates.
type API struct {
	Key     kmsg.Key
	Version int16
	Kafka   Release // the oldest that takes it
}

// Release is a release of Apache Kafka.
type Release struct{ Major, Minor int }

func (r Release) String() string { return fmt.Sprintf("%d.%d", r.Major, r.Minor) }

// Compare returns -1, 0 or 1, as cmp.Compare does.
func (r Release) Compare(other Release) int {
	return slices.Compare([]int{r.Major, r.Minor}, []int{other.Major, other.Minor})
}

// Use is what a client is used for. Everything and everybody needs what is Basic.
type Use int

// The uses.
const (
	Basic Use = iota
	ClassicMember
	ConsumerMember // of KIP-848
	Transactions
	Login // which is over before anything else can be asked
)

// sent is every request that balanceq makes. The releases are those of Kafka's message definitions
// (clients/src/main/resources).
var sent = map[Use][]API{
	Basic: {
		{kmsg.ApiVersions, 3, Release{2, 4}},
		{kmsg.Metadata, 9, Release{2, 4}},
		{kmsg.Metadata, 12, Release{3, 1}},
		{kmsg.FindCoordinator, 2, Release{2, 0}},
		{kmsg.DescribeGroups, 5, Release{2, 4}},
		{kmsg.ListOffsets, 4, Release{2, 1}},
		{kmsg.OffsetForLeaderEpoch, 3, Release{2, 3}},
		{kmsg.Fetch, 13, Release{3, 1}},
		{kmsg.InitProducerID, 1, Release{2, 0}},
		{kmsg.Produce, 8, Release{2, 4}},
		{kmsg.OffsetFetch, 7, Release{2, 5}},
	},
	ClassicMember: {
		{kmsg.JoinGroup, 9, Release{3, 2}},
		{kmsg.SyncGroup, 5, Release{2, 5}},
		{kmsg.Heartbeat, 4, Release{2, 4}},
		{kmsg.LeaveGroup, 5, Release{3, 2}},
		{kmsg.OffsetCommit, 7, Release{2, 3}},
	},
	ConsumerMember: {
		{kmsg.ConsumerGroupHeartbeat, 1, Release{4, 0}},
		{kmsg.ConsumerGroupDescribe, 0, Release{3, 8}},
		{kmsg.OffsetCommit, 9, Release{3, 7}},
	},
	Transactions: {
		{kmsg.InitProducerID, 4, Release{2, 7}},
		{kmsg.AddPartitionsToTxn, 3, Release{2, 8}},
		{kmsg.AddOffsetsToTxn, 3, Release{2, 8}},
		{kmsg.TxnOffsetCommit, 3, Release{2, 5}},
		{kmsg.EndTxn, 3, Release{2, 8}},
		{kmsg.DescribeTransactions, 0, Release{3, 0}},
	},
	Login: {
		{kmsg.SASLHandshake, 1, Release{1, 0}},
		{kmsg.SASLAuthenticate, 1, Release{2, 2}},
	},
}

// APIs returns what the uses send, Basic included.
func APIs(uses ...Use) []API {
	all := slices.Clone(sent[Basic])
	for _, use := range uses {
		if use != Basic {
			all = append(all, sent[use]...)
		}
	}
	return all
}

// Refusal is a request that a broker does not take in the version that balanceq sends: it would cut the connection
// without a word.
type Refusal struct {
	API
	Known    bool // in some version
	Min, Max int16
}

// TooNew says that the broker has dropped our version, rather than not having it yet.
func (r Refusal) TooNew() bool { return r.Known && r.Version < r.Min }

func (r Refusal) String() string {
	name := r.Key.Name()
	switch {
	case !r.Known:
		return fmt.Sprintf("%s is not known (version %d is sent, of Kafka %s and later)", name, r.Version, r.Kafka)
	case r.TooNew():
		return fmt.Sprintf("%s from version %d to %d (%d is sent)", name, r.Min, r.Max, r.Version)
	}
	return fmt.Sprintf("%s up to version %d (%d is sent, of Kafka %s and later)", name, r.Max, r.Version, r.Kafka)
}

// Broker is a member of the cluster and what it refuses.
type Broker struct {
	ID       int32
	Address  string // host:port, as the cluster tells it to clients
	Refusals []Refusal
	Err      error // it could not be asked
}

// brokerTimeout is how long one broker may take to say which versions it takes: others can work in its place.
const brokerTimeout = 6 * time.Second

// Brokers asks each broker of the cluster whether it takes the requests (ApiVersions v0, which all do). It fails only
// if none could be asked.
func Brokers(ctx context.Context, c *kafkawire.Client, apis []API) ([]Broker, error) {
	brokers, err := ListBrokers(ctx, c)
	if err != nil {
		return nil, err
	}
	var asking sync.WaitGroup
	for i := range brokers { // side by side: one that does not answer takes its time
		b := &brokers[i]
		asking.Go(func() { b.Refusals, b.Err = refusals(ctx, c, b.ID, apis) })
	}
	asking.Wait()
	if !slices.ContainsFunc(brokers, func(b Broker) bool { return b.Err == nil }) {
		return nil, fmt.Errorf("asking for the versions of the brokers' requests: %w", brokers[len(brokers)-1].Err)
	}
	return brokers, nil
}

// ListBrokers returns the brokers of the cluster, at least one. They have not been asked for anything. The answer may
// be kafkawire.Settings.Metadata old: that much kafka-go negotiates with brokers of any age.
func ListBrokers(ctx context.Context, c *kafkawire.Client) ([]Broker, error) {
	metadata, err := c.API().Metadata(ctx, &kafka.MetadataRequest{})
	if err == nil && len(metadata.Brokers) == 0 {
		err = kafka.BrokerNotAvailable
	}
	if err != nil {
		return nil, fmt.Errorf("listing the brokers: %w", kafkawire.Cause(err))
	}
	brokers := make([]Broker, len(metadata.Brokers))
	for i, b := range metadata.Brokers {
		brokers[i] = Broker{ID: int32(b.ID), Address: fmt.Sprintf("%s:%d", b.Host, b.Port)} // ids have 32 bits
	}
	return brokers, nil
}

func refusals(ctx context.Context, c *kafkawire.Client, broker int32, apis []API) ([]Refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	r, err := kafkawire.Typed[*kmsg.ApiVersionsResponse](c.Broker(ctx, broker, kmsg.NewPtrApiVersionsRequest()))
	if err == nil {
		err = kafkawire.CodeError(r.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	var refused []Refusal
	for _, api := range apis {
		at := slices.IndexFunc(r.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == api.Key.Int16() })
		if at < 0 {
			refused = append(refused, Refusal{API: api})
			continue
		}
		if k := r.ApiKeys[at]; api.Version < k.MinVersion || api.Version > k.MaxVersion {
			refused = append(refused, Refusal{API: api, Known: true, Min: k.MinVersion, Max: k.MaxVersion})
		}
	}
	return refused, nil
}
