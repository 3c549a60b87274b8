package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// What the oracle takes for committed is what a read-committed reader gets, whatever the order in which transactions
// begin, write and end.
func TestCommittedIsWhatReadersGet(t *testing.T) {
	cluster := kafkatest.Embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	producer := func(id string) *kgo.Client {
		cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID(id),
			kgo.DefaultProduceTopic("t"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	write := func(cl *kgo.Client, value string) {
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	end := func(cl *kgo.Client, how kgo.TransactionEndTry) {
		if err := cl.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	a, b := producer("a"), producer("b")
	for round := range 5 {
		for _, cl := range []*kgo.Client{a, b} {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
		}
		write(a, fmt.Sprint("a", round))
		write(b, fmt.Sprint("b", round))
		write(a, fmt.Sprint("A", round))
		end(b, kgo.TransactionEndTry(round%2 == 0))
		end(a, kgo.TransactionEndTry(round%3 == 0))
	}
	w, err := newCollector(cluster.ListenAddrs()[0], "x", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	ends, err := w.quiesced(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	log, err := w.read(t.Context(), "t", ends["t"])
	if err != nil {
		t.Fatal(err)
	}
	records, err := committed(log[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, string(r.Value))
	}
	if want := []string{"a0", "b0", "A0", "b2", "a3", "A3", "b4"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A transaction dates its records by its end; those behind it in the log have to wait for it, of any producer.
func TestCommittedDates(t *testing.T) {
	plain := kgo.NewRecordAttrs(kgo.RecordAttrsOpts{})
	transactional := kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Transactional: true})
	control := kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Transactional: true, Control: true})
	offset := int64(0)
	record := func(producer, at int64, attrs kgo.RecordAttrs, key string) *kgo.Record {
		r := &kgo.Record{Topic: "t", ProducerID: producer, Timestamp: time.UnixMilli(at), Key: []byte(key), Offset: offset}
		r.Attrs = attrs
		offset++
		return r
	}
	const commits, aborts = "\x00\x00\x00\x01", "\x00\x00\x00\x00"
	log := []*kgo.Record{
		record(-1, 1, plain, "p1"),
		record(7, 2, transactional, "a"),
		record(8, 3, transactional, "b"),
		record(8, 4, control, commits),
		record(-1, 5, plain, "p2"),
		record(7, 6, control, aborts),
		record(7, 7, transactional, "c"),
		record(7, 9, control, commits),
		record(-1, 10, plain, "p3"),
	}
	records, err := committed(log)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]dates{}
	for _, r := range records {
		got[string(r.Key)] = r.dates
	}
	for key, want := range map[string]dates{
		"p1": {false, 1, 1}, "b": {true, 4, 6}, "p2": {false, 5, 6}, "c": {true, 9, 9}, "p3": {false, 10, 10},
	} {
		if got[key] != want {
			t.Errorf("%s: %+v, want %+v", key, got[key], want)
		}
	}
	if _, aborted := got["a"]; aborted || len(got) != 5 {
		t.Errorf("%v", got)
	}
	if _, err := committed(log[:3]); err == nil {
		t.Error("transactions that have not ended: no error")
	}
	if _, err := committed([]*kgo.Record{record(1, 1, control, "\x00")}); err == nil {
		t.Error("a marker that cannot be read: no error")
	}
}
