package main

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// segmentOf encodes batches of so many records, one behind the other. It returns where each of them ends.
func segmentOf(counts []int) (segment []byte, want []batch) {
	offset := int64(0)
	for _, n := range counts {
		b := kmsg.RecordBatch{FirstOffset: offset, LastOffsetDelta: int32(n - 1), NumRecords: int32(n), Magic: 2,
			Records: make([]byte, 10*n)}
		b.Length = int32(len(b.AppendTo(nil)) - 12)
		segment, offset = b.AppendTo(segment), offset+int64(n)
		want = append(want, batch{len(segment), offset})
	}
	return segment, want
}

// A segment is cut behind a batch, as near to the wish as batches are, and never by more than half.
func TestCutsAreBetweenBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment, want := segmentOf(rapid.SliceOf(rapid.IntRange(1, 9)).Draw(t, "batches"))
		got := batchesOf(segment)
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		if rapid.Bool().Draw(t, "torn") && len(want) > 0 {
			if torn := batchesOf(segment[:len(segment)-1]); !slices.Equal(torn, want[:len(want)-1]) {
				t.Fatalf("%v of a segment that ends in a batch, want %v", torn, want[:len(want)-1])
			}
		}
		drop := rapid.Int64Range(0, 300).Draw(t, "drop")
		kept, end := keep(got, drop), int64(0)
		if len(want) > 0 {
			end = want[len(want)-1].next
		}
		if wish := end - min(drop, end/2); kept.next > wish || wish-kept.next >= 9 || kept.next > 0 &&
			!slices.Contains(want, kept) {
			t.Fatalf("%v is kept of %v to drop %d", kept, want, drop)
		}
	})
}

// Whatever is on a disk, what is found in it lies in it.
func FuzzBatchesOf(f *testing.F) {
	segment, _ := segmentOf([]int{1, 3})
	f.Add(segment)
	f.Add(segment[:len(segment)-3])
	f.Fuzz(func(t *testing.T, segment []byte) {
		at := 0
		for _, b := range batchesOf(segment) {
			if b.bytes <= at || b.bytes > len(segment) {
				t.Fatalf("%v in %d bytes", b, len(segment))
			}
			at = b.bytes
		}
	})
}
