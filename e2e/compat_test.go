package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/kafkawire/inspect"
)

// Brokers that are too old are named, with what they lack and the release that has it, and nothing is sent to them that
// they do not know.
func TestBrokersTooOld(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		brokers *kversion.Versions
		flags   []string
		want    []string
	}{
		"3.1": {kversion.V3_1_0(), nil, []string{
			"does not take the requests of this release", "JoinGroup up to version 7 (9 is sent", "Kafka 3.2 or later"}},
		"2.3": {kversion.V2_3_0(), []string{"--delivery=exactly-once"}, []string{
			"Produce up to version 7", "EndTxn", "Kafka 3.2 or later"}},
		"3.9 with KIP-848": {kversion.V3_9_0(), []string{"--kafka.group-protocol=consumer"},
			[]string{"kafka.group-protocol: is consumer, and the cluster does not offer", "auto or classic", "group.version=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.MaxVersions(test.brokers))
			c.watch()
			refuses(t, nil, c.flags("run", test.flags...), append(test.want, "checking before the start")...)
			refuses(t, nil, c.flags("doctor", test.flags...), append(test.want, "FAIL  brokers", "skip  group", "fix: ")...)
			for request := range c.watched() {
				if request.key == kmsg.JoinGroup || request.key == kmsg.InitProducerID {
					t.Errorf("it sent %s", request.key.Name())
				}
			}
		})
	}
}

// The oldest release that is let through does everything, and is sent nothing but what the table of requests names.
func TestOldestBrokers(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.MaxVersions(kversion.V3_2_0()))
			c.ask()
			c.watch()
			in := launch(t, c.flags("run", "--kafka.group-protocol=auto", "--delivery="+delivery)...)
			in.eventually("the request is answered", c.answered)
			in.Stop()
			table := inspect.APIs(inspect.ClassicMember, inspect.Transactions)
			// kafka-go's own
			negotiated := []kmsg.Key{kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeConfigs}
			for request := range c.watched() {
				known := slices.ContainsFunc(table, func(api inspect.API) bool {
					return api.Key == request.key && api.Version == request.version
				})
				if !known && !slices.Contains(negotiated, request.key) {
					t.Errorf("%s %d is sent, and not in the table", request.key.Name(), request.version)
				}
			}
			if !c.watched()[versioned{kmsg.JoinGroup, 9}] {
				t.Errorf("nothing was watched: %v", c.watched())
			}
		})
	}
}

// occupy has another program join the group, and returns what makes it leave.
func (r *rig) occupy(opts ...kgo.Opt) (leave func()) {
	r.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(r.broker.Brokers()...), kgo.ConsumerGroup(r.group),
		kgo.ConsumeTopics(r.requests), kgo.ClientID("stranger"))...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(cl.Close)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	cl.PollFetches(ended) // joins
	r.awaitOccupied()
	return cl.Close
}

func (r *rig) awaitOccupied() {
	r.t.Helper()
	kafkatest.Eventually(r.t, waitTimeout, "the group has a member",
		func() bool { return r.broker.GroupMembers(r.t, r.group) == 1 })
}

// occupyAsBefore has a member of kafka-go's group join, as earlier builds of balanceq had it.
func (r *rig) occupyAsBefore() (leave func()) {
	r.t.Helper()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: r.broker.Brokers(), GroupID: r.group, Topic: r.requests,
		Dialer: &kafka.Dialer{ClientID: "balanceq"}})
	closing := func() { _ = reader.Close() }
	r.t.Cleanup(closing)
	r.awaitOccupied()
	return closing
}

// doctorFlags are those of doctor in the place of run.
func (r *rig) doctorFlags(more ...string) []string {
	flags := slices.DeleteFunc(r.flags(), func(f string) bool { return f == "run" || strings.HasPrefix(f, "--http.") })
	return append(append([]string{"doctor", "--no-call"}, flags...), more...)
}

// A group that others hold by a strategy of theirs is named with its members, waited for, and joined when they have
// gone.
func TestGroupOfAnotherStrategy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		occupy func(*rig) func()
		want   []string
	}{
		"range": {func(r *rig) func() { return r.occupy(kgo.Balancers(kgo.RangeBalancer())) },
			[]string{"client id stranger", "by range and this instance by balanceq-sticky"}},
		"cooperative-sticky": {func(r *rig) func() { return r.occupy(kgo.Balancers(kgo.CooperativeStickyBalancer())) },
			[]string{"client id stranger", "by cooperative-sticky and this instance by balanceq-sticky"}},
		"earlier build": {(*rig).occupyAsBefore, []string{"client id balanceq",
			"by range and this instance by balanceq-sticky"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, cmssim.Config{})
			leave := test.occupy(r)
			want := slices.Concat(test.want, []string{"is held by 1 member", "no two strategies",
				"stop them first (all of them"})
			kafkatest.Eventually(t, waitTimeout, "the group is stable", func() bool {
				in := launch(t, r.doctorFlags()...)
				in.wait(waitTimeout)
				return strings.Contains(in.output.String(), "FAIL  group")
			})
			refuses(t, nil, r.doctorFlags(), want...)

			r.Send(ask(70001, "AVAILABLE"))
			in := launch(t, r.flags()...)
			in.eventually("the log says who is waited for", func() bool { return len(in.Logs("waiting: group")) > 0 })
			says(t, in, want...)
			leave()
			in.await().eventually("the instance is ready", in.Ready)
			r.AwaitCommitted()
			in.Stop()
		})
	}
}

// A member that does not leave is told of in the end.
func TestGroupStaysWithOthers(t *testing.T) {
	kafkatest.OnlyOnce(t, "when an instance changes the protocol")
	t.Parallel()
	r := newRig(t, 1, cmssim.Config{})
	r.occupy(kgo.Balancers(kgo.RangeBalancer()))
	kafkatest.Eventually(t, waitTimeout, "the group is stable", func() bool {
		in := launch(t, r.doctorFlags()...)
		in.wait(waitTimeout)
		return strings.Contains(in.output.String(), "FAIL  group")
	})
	refuses(t, nil, r.flags(), "balanceq: checking before the start: group "+r.group+
		" is held by 1 member, client id stranger",
		"stop them first")
	if n := r.broker.GroupMembers(t, r.group); n != 1 {
		t.Errorf("the group has %d members", n)
	}
}

// Brokers that offer the consumer group protocol let classic members in among its members: a migration may go one by
// one. That others are there is said all the same. Where they do not offer it, an instance that asks for it is told.
func TestGroupOfConsumerProtocol(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	if broker.Kind() == kafkatest.KindEmbedded {
		t.Skip("the embedded broker has no mixed groups")
	}
	r := newRig(t, 2, cmssim.Config{})
	client := kafkawire.NewClient(kafkawire.Settings{Brokers: broker.Brokers(), ClientID: "test"})
	defer client.Close()
	if offered, err := client.OffersConsumerProtocol(t.Context()); err != nil {
		t.Fatal(err)
	} else if !offered {
		refuses(t, nil, append(r.flags(), "--kafka.group-protocol=consumer"),
			"the cluster does not offer that protocol", "auto or classic")
		return
	}
	r.occupy(kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	in := launch(t, r.doctorFlags()...)
	if code := in.wait(waitTimeout).ExitCode(); code != 0 {
		t.Errorf("exit code %d of doctor", code)
	}
	says(t, in, "warn  group", "another client id than balanceq: stranger")
	in = r.StartReady("--kafka.group-protocol=classic")
	warned := in.Logs("another client id than balanceq: stranger")
	if len(warned) != 1 || !strings.Contains(warned[0].text("fix"), "kafka.group") {
		t.Errorf("warnings %v", warned)
	}
	in.eventually("both share the partitions", func() bool { h, _ := in.Health(); return h.Partitions == 1 })
	in.Stop()
}

// Each right that the brokers do not give is named, with the command that gives it; with these rights and no others, it
// works.
func TestRights(t *testing.T) {
	t.Parallel()
	allow := func(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation,
			Allow: true}
	}
	given := map[string]kfake.ACL{
		"--operation Read --topic requests":     allow(kmsg.ACLResourceTypeTopic, "requests", kmsg.ACLOperationRead),
		"--operation Write --topic results":     allow(kmsg.ACLResourceTypeTopic, "results", kmsg.ACLOperationWrite),
		"--operation Write --topic deadletters": allow(kmsg.ACLResourceTypeTopic, "deadletters", kmsg.ACLOperationWrite),
		"--operation Read --group g":            allow(kmsg.ACLResourceTypeGroup, "g", kmsg.ACLOperationRead),
		"--operation Write --transactional-id balanceq.g. --resource-pattern-type prefixed": allow(
			kmsg.ACLResourceTypeTransactionalId, "balanceq.g.i1", kmsg.ACLOperationWrite), // here one instance's
	}
	if listed := listedRights(); !slices.Equal(listed, slices.Sorted(maps.Keys(given))) {
		t.Errorf("package rights lists %q as what run ends without", listed)
	}
	const password = "brokers-only-3"
	env := []string{"BALANCEQ_KAFKA_SASL_PASSWORD=" + password}
	login := []string{"--kafka.sasl.mechanism=plain", "--kafka.sasl.username=joe", "--delivery=exactly-once"}
	guarded := func(t *testing.T, without string) *cluster {
		var left []kfake.ACL
		for name, acl := range given {
			if without != "all" && name != without {
				left = append(left, acl)
			}
		}
		return newCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", password),
			kfake.User("PLAIN", "joe", password, left...))
	}
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		want := []string{"--bootstrap-server 127.0.0.1:", "--allow-principal 'User:joe'"}
		for name := range given {
			want = append(want, name)
		}
		c := guarded(t, "all")
		refuses(t, env, c.flags("run", login...), want...)
		refuses(t, env, c.flags("doctor", login...), append(want, "FAIL  topics", "FAIL  group", "FAIL  transactions")...)
	})
	for name := range given {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := guarded(t, name)
			refuses(t, env, c.flags("run", login...), "the brokers do not allow User:joe the operation", name)
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		c := guarded(t, "none")
		c.ask(kgo.SASL(plain.Auth{User: "admin", Pass: password}.AsMechanism()))
		in := launchIn(t, env, c.flags("run", login...)...)
		in.eventually("the request is answered", c.answered)
		says(t, in, "--operation DescribeConfigs --topic requests", "its settings are not checked",
			"--operation Read --topic balance.replays", "balanceq skip")
		in.Stop()
	})
}

// listedRights are those that run ends without by package rights, with this test's names, sorted.
func listedRights() (flags []string) {
	var cfg config.Config
	cfg.Kafka.Group, cfg.Delivery = "g", config.DeliveryExactlyOnce
	cfg.Topics = config.Topics{Requests: "requests", Results: "results", DeadLetters: "deadletters", Replays: "replays"}
	for _, r := range rights.For(cfg, rights.Run) {
		if r.Without == "" {
			flags = append(flags, r.Flags())
		}
	}
	slices.Sort(flags)
	return flags
}

// A time that the brokers do not allow is told by its key.
func TestTransactionTimeoutTooLong(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "60000"}))
	flags := []string{"--delivery=exactly-once", "--kafka.transaction-timeout=2m"}
	want := []string{"kafka.transaction-timeout: is 2m0s, and the brokers allow 1m0s at most",
		"transaction.max.timeout.ms=60000", "lower kafka.transaction-timeout"}
	refuses(t, nil, c.flags("run", flags...), want...)
	refuses(t, nil, c.flags("doctor", flags...), append(want, "FAIL  transactions")...)
}
