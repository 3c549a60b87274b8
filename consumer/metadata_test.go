package consumer

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/kafkawire"
)

// Metadata of another program is no error, says nothing, and is replaced.
func TestForeignMetadata(t *testing.T) {
	t.Parallel()
	for name, metadata := range map[string]string{
		"a note":            "moved by operations",
		"of another offset": must(encodeAhead(0, slices.Values([]Run{{3, 9}}), aheadLimit)),
		"not UTF-8":         "\xff",
		"none":              "",
	} {
		t.Run(name, func(t *testing.T) {
			c := broker(t, 1)
			produce(t, c, 0, requests(1, 10)...)
			if err := storeOffsets(c, map[int32]kafkawire.OffsetAndMetadata{0: {Offset: 2, Metadata: metadata}}); err != nil {
				t.Fatal(err)
			}
			r := start(t, c, answerAll, nil)
			lease := r.grant(0)
			eventually(t, "all is committed", func() bool { return lease.offset(0) == 10 })
			got := r.delivery.offsets(0)
			slices.Sort(got)
			if want := sequence(2, 10); !slices.Equal(got, want) {
				t.Errorf("answered %v, want %v", got, want)
			}
			if runs := runsOf(t, lease, 0); len(runs) > 0 {
				t.Errorf("it names %v", runs)
			}
		})
	}
}

func must(metadata string, _ bool) string { return metadata }

// Brokers that take no metadata still take the offsets.
func TestMetadataTooLarge(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(2, 3)...)
	produce(t, c, 0, requests(1, 1)...) // waits
	produce(t, c, 0, requests(5, 3)...)
	h := head{make(chan struct{})}
	r := start(t, c, h.handle, nil)
	lease := &fakeLease{before: func(offsets map[int32]kafkawire.OffsetAndMetadata) error {
		if offsets[0].Metadata != "" {
			return fmt.Errorf("committing: %w", kafka.OffsetMetadataTooLarge)
		}
		return nil
	}}
	r.grantUnder(lease, 0)
	eventually(t, "a commit with metadata was refused", func() bool {
		_, failures, _ := r.observer.seen()
		return failures > 0
	})
	eventually(t, "what is contiguous is committed", func() bool { return lease.offset(0) == 3 })
	close(h.free)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 7 })
	if _, failures, _ := r.observer.seen(); failures != 2 {
		t.Errorf("%d commits failed, want one with what is finished and one with the topic id alone", failures)
	}
}

// A delivery whose outcomes do not outlive a crash has none of them named.
func TestFleetingOutcomesAreNotNamed(t *testing.T) {
	t.Parallel()
	c := broker(t, 1)
	produce(t, c, 0, requests(2, 3)...)
	produce(t, c, 0, requests(1, 1)...) // waits
	produce(t, c, 0, requests(5, 3)...)
	h := head{make(chan struct{})}
	r := startWith(t, c, h.handle, nil, &fakeDelivery{fleeting: true})
	lease := r.grant(0)
	eventually(t, "six are answered", func() bool { return r.delivery.count() == 6 })
	eventually(t, "what is contiguous is committed", func() bool { return lease.offset(0) == 3 })
	close(h.free)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 7 })
	lease.mu.Lock()
	defer lease.mu.Unlock()
	for _, offsets := range lease.history {
		if runs, err := decodeAhead(offsets[0].Offset, offsets[0].Metadata); err != nil || len(runs) > 0 {
			t.Errorf("commit of %d names %v, error %v", offsets[0].Offset, runs, err)
		}
	}
}

// limitMetadata leaves room for about (limit*3/4 - 23)/2 stretches of one record.
func (r *rig) limitMetadata(limit int) {
	r.commitMu.Lock()
	defer r.commitMu.Unlock()
	r.noteLimit = limit
}

// Intake waits before the finished stretches do not fit into a commit any more, and goes on when they have merged.
func TestIntakeWaitsForRoomInTheMetadata(t *testing.T) {
	t.Parallel()
	const limit = 86
	c := broker(t, 1)
	free := make(chan struct{})
	handler := func(ctx context.Context, lane *Lane) {
		if lane.Contract()%2 == 0 {
			select {
			case <-free:
			case <-ctx.Done():
				return
			}
		}
		answerAll(ctx, lane)
	}
	r := start(t, c, handler, func(cfg *Config) { cfg.MaxInFlight, cfg.RunAhead = 1000, 1000 })
	r.limitMetadata(limit)
	lease := r.grant(0)
	produce(t, c, 0, requests(2, 36)...) // 18 stretches: 36 bytes, 59 with the head, 79 characters
	eventually(t, "they are in a commit", func() bool { return len(runsOf(t, lease, 0)) == 18 })
	produce(t, c, 0, requests(1000, 200)...)
	eventually(t, "the others are fetched", func() bool {
		from, room := r.held()[0].wanted()
		return from.Offset > 36 && (room || from.Offset < 236)
	})
	if p, _ := r.partition(0); p.Open != 36 {
		t.Errorf("%d records were started, want the first 36", p.Open)
	}
	close(free)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == 236 })
	lease.mu.Lock()
	defer lease.mu.Unlock()
	for _, offsets := range lease.history {
		if n := len(offsets[0].Metadata); n > limit {
			t.Errorf("%d characters of metadata", n)
		}
	}
}

// Metadata that is full does not keep an owner from what lies between its stretches: nothing else could make it
// shorter.
func TestFullMetadataIsWorkedOff(t *testing.T) {
	t.Parallel()
	const n = 3000 // every other one is finished: 1500 stretches take more characters than there may be
	c := broker(t, 1)
	produce(t, c, 0, requests(1, n)...)
	var runs []Run
	for offset := int64(1); offset < n; offset += 2 {
		runs = append(runs, Run{offset, offset + 1})
	}
	metadata, all := encodeAhead(0, slices.Values(runs), aheadLimit)
	named, err := decodeAhead(0, metadata)
	if all || err != nil || len(metadata) <= aheadLimit/4*3 {
		t.Fatalf("%d stretches take %d characters, all %v, error %v", len(runs), len(metadata), all, err)
	}
	if err := storeOffsets(c, map[int32]kafkawire.OffsetAndMetadata{0: {Metadata: metadata}}); err != nil {
		t.Fatal(err)
	}
	free := make(chan struct{})
	r := start(t, c, func(ctx context.Context, lane *Lane) {
		<-free
		answerAll(ctx, lane)
	}, nil)
	lease := r.grant(0)
	eventually(t, "the window is full", func() bool { p, _ := r.partition(0); return p.Open == 64 })
	r.commit(context.Background(), r.held()) // looks at the metadata while next to nothing has changed
	close(free)
	eventually(t, "all is committed", func() bool { return lease.offset(0) == n })
	skipped := map[int64]bool{}
	for _, s := range named {
		skipped[s.From] = true
	}
	want := slices.DeleteFunc(sequence(0, n), func(offset int64) bool { return skipped[offset] })
	got := r.delivery.offsets(0)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d answers, want %d", len(got), len(want))
	}
}
