package group

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/kafkawire"
)

// joiner is what both kinds of membership are.
type joiner interface {
	Join(ctx context.Context, owner Owner) error
}

// kind is a kind of membership under test.
type kind struct {
	name   string
	beat   kmsg.Key // its heartbeat
	member func(memberOptions, *kafkawire.Client, zerolog.Logger) joiner
}

// memberOptions are what either kind needs.
type memberOptions struct {
	Config
	session time.Duration // of kip848 it is the brokers'
}

var (
	classic = kind{"classic", kmsg.Heartbeat, func(o memberOptions, wire *kafkawire.Client, log zerolog.Logger) joiner {
		return NewClassic(ClassicConfig{o.Config, o.session}, wire, log)
	}}
	kip848 = kind{"kip848", kmsg.ConsumerGroupHeartbeat,
		func(o memberOptions, wire *kafkawire.Client, log zerolog.Logger) joiner {
			return NewKIP848(o.Config, wire, log)
		}}
)

// eachKind runs a test for both.
func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range []kind{classic, kip848} {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// brief is a session in which heartbeats come every 300 ms: one that is late by a second, on a busy machine, ends none.
const brief = 1500 * time.Millisecond

// memberBroker is kfake with brief sessions, and the topic.
func memberBroker(t *testing.T, partitions int32, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	return kafkatest.Embedded(t, append([]kfake.Opt{
		kfake.SeedTopics(partitions, testTopic), kfake.GroupMinSessionTimeout(brief),
		kfake.BrokerConfigs(map[string]string{
			"group.consumer.session.timeout.ms": "1500", "group.consumer.heartbeat.interval.ms": "300",
		}),
	}, opts...)...)
}

// testOwner keeps the ledger.
type testOwner = kafkatest.Owner[Lease]

// memberRig is a member with an owner that keeps the ledger.
type memberRig struct {
	*testOwner
	wire *kafkawire.Client
	left chan error
	stop func() error // ends Join and returns its error
}

func testMember() memberOptions {
	return memberOptions{Config{Group: testGroup, Topic: testTopic, RebalanceTimeout: timeout}, brief}
}

// startMemberOf runs a member until the test ends.
func startMemberOf(
	t *testing.T, k kind, brokers kafkawire.Settings, l *kafkatest.Ledger, name string,
	change func(*memberOptions, *testOwner),
) *memberRig {
	t.Helper()
	o := testMember()
	r := &memberRig{testOwner: &testOwner{Name: name, Ledger: l}, left: make(chan error, 1)}
	if change != nil {
		change(&o, r.testOwner)
	}
	r.wire = kafkawire.NewClient(brokers, o.Topic)
	ctx, cancel := context.WithCancel(context.Background())
	log := zerolog.New(zerolog.NewTestWriter(t)).With().Str("member", name).Timestamp().Logger()
	go func() { r.left <- k.member(o, r.wire, log).Join(ctx, r) }()
	r.stop = sync.OnceValue(func() error {
		defer r.wire.Close()
		cancel()
		select {
		case err := <-r.left:
			return err
		case <-time.After(waitTimeout):
			return errors.New("Join did not return")
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		if wrong := l.Faults(); len(wrong) > 0 {
			t.Error(wrong)
		}
	})
	return r
}

func (r *memberRig) has(n int) func() bool {
	return func() bool { return len(r.Ledger.Of(r.Name)) == n }
}

// named makes members static.
func named(id string, leave bool) func(*memberOptions, *testOwner) {
	return func(o *memberOptions, _ *testOwner) { o.InstanceID, o.LeaveOnStop = id, leave }
}

func members(c *kfake.Cluster) int {
	info := c.GroupInfo(testGroup)
	if info == nil {
		return 0
	}
	return len(info.Members)
}
