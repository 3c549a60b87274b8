package inspect

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// stranger is franz-go's client, which shares no code with kafkawire but the message codec.
func stranger(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)
	if err != nil {
		t.Fatalf("making a kgo client: %v", err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// occupy has a member of franz-go's client join the group, and keeps it there until the test ends.
func occupy(t *testing.T, brokers []string, group, topic string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ClientID("stranger"))
	cl := stranger(t, brokers, opts...)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	cl.PollFetches(ended) // joins
	return cl
}

func TestDescribeGroup(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic := b.Topic(t, 2)
	c := wire(t, b.Brokers())
	offered, err := c.OffersConsumerProtocol(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	describe := func(t *testing.T, group string) (g Group) {
		kafkatest.Eventually(t, within, "the coordinator answers", func() bool {
			var err error
			g, err = DescribeGroup(deadline(t), c, group, offered)
			return err == nil
		})
		return g
	}
	t.Run("no member", func(t *testing.T) {
		g := describe(t, topic+"-empty")
		if len(g.Members) != 0 || g.Consumer || !g.Operations.Allow("Read") {
			t.Errorf("%+v", g)
		}
	})
	t.Run("classic", func(t *testing.T) {
		group := topic + "-classic"
		first := occupy(t, b.Brokers(), group, topic, kgo.Balancers(kgo.CooperativeStickyBalancer()))
		occupy(t, b.Brokers(), group, topic, kgo.Balancers(kgo.CooperativeStickyBalancer()))
		var g Group
		kafkatest.Eventually(t, within, "both members are seen", func() bool {
			g = describe(t, group)
			return len(g.Members) == 2 && g.Strategy != ""
		})
		if g.Consumer || g.Type != ClassicType || g.Strategy != "cooperative-sticky" ||
			!slices.Equal(g.Clients(), []string{"stranger", "stranger"}) {
			t.Errorf("%+v", g)
		}
		first.Close()
		kafkatest.Eventually(t, within, "it has left", func() bool { return len(describe(t, group).Members) == 1 })
	})
	t.Run("consumer", func(t *testing.T) {
		if !offered {
			t.Skip("these brokers do not offer the consumer group protocol")
		}
		group := topic + "-consumer"
		occupy(t, b.Brokers(), group, topic, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
		var g Group
		kafkatest.Eventually(t, within, "the member is seen", func() bool {
			g = describe(t, group)
			return len(g.Members) == 1
		})
		if !g.Consumer || g.Strategy != "" || g.Clients()[0] != "stranger" {
			t.Errorf("%+v", g)
		}
	})
}

// A transactional id is looked at while it has an open transaction, which then still commits: it was not fenced.
func TestDescribeTransactional(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic := b.Topic(t, 1)
	c := wire(t, b.Brokers(), topic)
	state := func() (s string) {
		kafkatest.Eventually(t, within, "the coordinator answers", func() bool {
			var err error
			s, err = c.DescribeTransactional(deadline(t), topic)
			return err == nil
		})
		return s
	}
	if s := state(); s != "" {
		t.Errorf("before its first use: %s", s)
	}
	cl := stranger(t, b.Brokers(), kgo.TransactionalID(topic), kgo.TransactionTimeout(30*time.Second))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(deadline(t), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if s := state(); s != "Ongoing" {
		t.Errorf("within a transaction: %s", s)
	}
	if err := cl.EndTransaction(deadline(t), kgo.TryCommit); err != nil {
		t.Fatalf("the transaction was disturbed: %v", err)
	}
	kafkatest.Eventually(t, within, "the transaction is over", func() bool {
		s := state()
		return s == "CompleteCommit" || s == "Empty"
	})
}

// guarded starts a cluster in which user joe may do what the ACLs say, and returns a client of his.
func guarded(t *testing.T, allowed ...kfake.ACL) *kafkawire.Client {
	t.Helper()
	cluster := kafkatest.Embedded(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "open", "shut"),
		kfake.User("PLAIN", "joe", "secret", allowed...))
	mechanism, err := kafkawire.SASL("plain", "joe", func() string { return "secret" })
	if err != nil {
		t.Fatal(err)
	}
	c := kafkawire.NewClient(kafkawire.Settings{Brokers: cluster.ListenAddrs(), ClientID: "wire-test", SASL: mechanism})
	t.Cleanup(c.Close)
	return c
}

func allow(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
	return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation,
		Allow: true}
}

// What is forbidden is told apart from what does not exist, before anything is tried.
func TestRights(t *testing.T) {
	t.Parallel()
	c := guarded(t, allow(kmsg.ACLResourceTypeTopic, "open", kmsg.ACLOperationRead),
		allow(kmsg.ACLResourceTypeGroup, "seen", kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeGroup, "mine", kmsg.ACLOperationRead),
		allow(kmsg.ACLResourceTypeTransactionalId, "mine", kmsg.ACLOperationWrite))
	operations, err := TopicOperations(deadline(t), c, []string{"open", "shut", "missing"})
	if err != nil {
		t.Fatal(err)
	}
	if o, visible := operations["open"]; !visible || !o.Allow("Read") || o.Allow("Write") {
		t.Errorf("open: %v, %b", visible, o)
	}
	for _, name := range []string{"shut", "missing"} { // which of them exists is not told where they may not be seen
		if o, visible := operations[name]; !visible || o != 0 {
			t.Errorf("%s: %v, %b", name, visible, o)
		}
	}
	for group, want := range map[string]struct{ forbidden, read bool }{
		"mine": {read: true}, "seen": {}, "other": {forbidden: true},
	} {
		g, err := DescribeGroup(deadline(t), c, group, true)
		if kafkawire.Forbidden(err) != want.forbidden || err != nil && !want.forbidden || err == nil &&
			g.Operations.Allow("Read") != want.read {
			t.Errorf("group %s: %+v, %v", group, g, err)
		}
	}
	if _, err := c.DescribeTransactional(deadline(t), "mine"); err != nil {
		t.Errorf("our transactional id: %v", err)
	}
	if _, err := c.DescribeTransactional(deadline(t), "other"); !kafkawire.Forbidden(err) {
		t.Errorf("another's transactional id: %v", err)
	}
	configs, err := BrokerConfigs(deadline(t), c, "transaction.max.timeout.ms")
	if !kafkawire.Forbidden(err) || len(configs) != 0 {
		t.Errorf("what may not be seen of the brokers: %v, %v", configs, err)
	}
}

// The coordinator's error is the answer, rather than that of a request without a broker.
func TestNoCoordinator(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t)
	cluster.ControlKey(int16(kmsg.FindCoordinator), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		resp.ErrorCode, resp.NodeID = 15, -1
		return resp, nil, true
	})
	c := wire(t, cluster.ListenAddrs())
	if _, err := DescribeGroup(deadline(t), c, "g", true); !kafkawire.NoCoordinator(err) {
		t.Errorf("group: %v", err)
	}
	if _, err := c.DescribeTransactional(deadline(t), "id"); !kafkawire.NoCoordinator(err) {
		t.Errorf("transactional id: %v", err)
	}
}

func TestTopicOperations(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic := b.Topic(t, 1)
	operations, err := TopicOperations(deadline(t), wire(t, b.Brokers()), []string{topic, topic + "-missing"})
	if o := operations[topic]; err != nil || len(operations) != 1 || !o.Allow("Read") || !o.Allow("Write") ||
		o == unknownOperations {
		t.Errorf("%v, %v", operations, err)
	}
}

// Kafka answers a wrong password, or a mechanism that it does not have, with an error; the embedded broker cuts the
// connection.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Embedded(t, kfake.EnableSASL(), kfake.User("PLAIN", "joe", "secret"))
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode, resp.ErrorMessage = 58, kmsg.StringPtr("Authentication failed: Invalid username or password")
		return resp, nil, true
	})
	for _, mechanism := range []string{"plain", "scram-sha-512"} {
		login, err := kafkawire.SASL(mechanism, "joe", func() string { return "wrong" })
		if err != nil {
			t.Fatal(err)
		}
		c := kafkawire.NewClient(kafkawire.Settings{Brokers: cluster.ListenAddrs(), ClientID: "wire-test", SASL: login})
		_, err = Brokers(deadline(t), c, nil)
		c.Close()
		if !kafkawire.LoginRefused(err) || kafkawire.Transient(err) {
			t.Errorf("%s: %v is not told", mechanism, err)
		}
	}
}

func TestBrokerConfigs(t *testing.T) {
	t.Parallel()
	c := wire(t, kafkatest.Shared(t).Brokers())
	configs, err := BrokerConfigs(deadline(t), c, "transaction.max.timeout.ms", "no.such.config")
	if err != nil || len(configs) != 1 || configs["transaction.max.timeout.ms"] != "900000" {
		t.Errorf("%v, %v", configs, err)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	for o, want := range map[Operations]struct{ read, write bool }{
		0: {}, 1 << 3: {read: true}, 1 << 4: {write: true}, 1<<3 | 1<<4 | 1<<8: {true, true}, 1 << 8: {},
		unknownOperations: {true, true},
	} {
		if o.Allow("Read") != want.read || o.Allow("Write") != want.write {
			t.Errorf("%b: read %v, write %v", o, o.Allow("Read"), o.Allow("Write"))
		}
	}
}
