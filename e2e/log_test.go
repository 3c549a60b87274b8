package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/internal/kafkatest"
)

// An upstream that writes in transactions: what it aborts is never answered, what is open waits, and the commits reach
// the end of the log although markers have the last offsets.
func TestTransactionalUpstream(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, cmssim.Config{Record: true})
	in := r.StartReady()
	const aborted = 18_900
	for i := range int64(5) {
		r.remember(r.broker.ProduceTransaction(t, r.requests, asks(20, 10, 18_000+i), true))
		r.broker.ProduceTransaction(t, r.requests, asks(20, 10, aborted), false)
	}
	open, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Brokers()...), kgo.TransactionalID(r.requests),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionTimeout(10*time.Minute)) // it is open for as long as everything before it takes
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, m := range asks(10, 10, 18_100) {
		rec := &kgo.Record{Topic: r.requests, Partition: 0, Key: m.Key, Value: m.Value}
		if err := open.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		m.Topic, m.Partition, m.Offset = r.requests, int(rec.Partition), rec.Offset
		r.remember([]kafka.Message{m})
	}
	behind := r.SendTo(0, asks(5, 5, 18_200)...)
	r.SendTo(1, asks(5, 5, 18_300)...)
	r.AwaitWritten(r.results, 105)
	if n := r.written(r.results); n != 105 {
		t.Errorf("%d results; the open transaction and what is behind it should wait", n)
	}
	if got := r.broker.Committed(t, r.group, r.requests)[0]; got > behind[0].Offset-10 {
		t.Errorf("offset %d is committed, beyond the start of the open transaction", got)
	}
	if err := open.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	r.broker.ProduceTransaction(t, r.requests, asks(20, 10, aborted), false)
	r.AwaitCommitted()
	l := r.Ledger()
	l.WantExactlyOnce()
	l.WantNoDeadLetters()
	for contract := range int64(10) {
		if calls := r.sim.Calls(aborted + contract); len(calls) != 0 {
			t.Errorf("%d calls for a contract of an aborted transaction", len(calls))
		}
	}
	in.Stop()
	r.StartReady().Stop()
	r.Ledger().WantExactlyOnce()
}

// A new group begins where kafka.start says, once: a restart goes on where it was.
func TestStart(t *testing.T) {
	t.Parallel()
	for start, answersOld := range map[string]bool{
		"earliest": true, "latest": false, "1h": true, time.Now().Add(time.Hour).Format(time.RFC3339): false,
	} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, cmssim.Config{})
			old, becomes := asks(30, 10, 19_000), "30 are skipped"
			if answersOld {
				r.Send(old...)
				becomes = "30 are answered"
			} else {
				r.broker.Produce(t, r.requests, old...)
			}
			in := r.StartReady("--kafka.start=" + start)
			warning := fmt.Sprintf(
				"kafka.group: %s has committed nothing in topic %s, which holds requests: with kafka.start=%s, %s",
				r.group, r.requests, start, becomes)
			if said := in.warnings(warning); said != 1 {
				t.Errorf("%d warnings of what becomes of the requests that are there", said)
			}
			r.AwaitCommitted() // also where it starts, before anything is answered
			r.Send(asks(30, 10, 19_000)...)
			r.AwaitCommitted()
			in.Stop()
			r.Send(asks(30, 10, 19_000)...) // while no instance runs
			in = r.StartReady("--kafka.start=" + start)
			if said := in.warnings("has committed nothing"); said != 0 {
				t.Error("a group that has begun is warned about")
			}
			r.AwaitCommitted()
			l := r.Ledger()
			l.WantExactlyOnce()
			l.WantNoDeadLetters()
			in.Stop()
		})
	}
}

// warnings counts the warnings that have this in their text.
func (in *instance) warnings(text string) (n int) {
	for _, l := range in.Logs(text) {
		if l.text("level") == "warn" {
			n++
		}
	}
	return n
}

// Partitions that are added while it runs are read from their start, also where the group has begun at the end.
func TestAddedPartitionsArePickedUp(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--kafka.start=latest"},
		{"--kafka.start=latest", "--delivery=exactly-once", "--kafka.instance-id=i-0"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			t.Parallel()
			testAddedPartitions(t, flags...)
		})
	}
}

func testAddedPartitions(t *testing.T, flags ...string) {
	r := newRig(t, 1, cmssim.Config{})
	in := r.StartReady(flags...)
	r.AwaitCommitted()
	r.Send(asks(20, 10, 20_000)...)
	kafkatest.AddPartitions(t, r.broker.Brokers(), r.requests, 3)
	for p := range int32(3) {
		r.SendTo(p, asks(20, 10, 20_000+100*int64(p))...)
	}
	r.AwaitCommitted()
	in.eventually("all partitions are held", func() bool { h, _ := in.Health(); return h.Partitions == 3 })
	l := r.Ledger()
	if lost := l.Lost(); len(lost) != 0 || l.Repeated() != 0 {
		t.Errorf("%d lost, %d repeated", len(lost), l.Repeated())
	}
	in.Stop()
}
