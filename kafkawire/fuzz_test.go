package kafkawire

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// reseal repairs the checksums of whatever batches b holds, so that fuzzing gets past them.
func reseal(b []byte) []byte {
	b = bytes.Clone(b)
	for rest := b; len(rest) >= batchHead; {
		size := 12 + int(int32(be.Uint32(rest[atLength:])))
		if size < batchHead || size > len(rest) {
			break
		}
		seal(rest[:size])
		rest = rest[size:]
	}
	return b
}

func FuzzDecodeBatches(f *testing.F) {
	f.Add([]byte(nil), int64(0), int64(0), int64(0))
	f.Add(values(0, "a", "", "c").encode(), int64(1), int64(0), int64(0))
	f.Add(join(values(5, "a").encode(), values(9, "b").encode())[:100], int64(5), int64(0), int64(0))
	f.Add(join(values(0, "a").transactional(1).encode(), marker(1, 1, abort), values(2, "b").transactional(1).encode()),
		int64(0), int64(1), int64(0))
	f.Add(AppendBatch(nil, ProducerID{7, 1}, 9, []Record{{Key: []byte("k"),
		Headers: []Header{{Key: "h"}, {Key: "i", Value: []byte("v")}}}}, time.UnixMilli(1)), int64(0), int64(7), int64(0))
	for codec := range codecNames {
		f.Add(values(0, "a", "b").compressed(f, codec).encode(), int64(0), int64(0), int64(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, from, producer, first int64) {
		if from < 0 { // no consumer asks for that
			return
		}
		for _, b := range [][]byte{b, reseal(b)} {
			aborted := []Aborted{{ProducerID: producer, FirstOffset: first}}
			if why := brokenOffsets(b, from, aborted); why != "" {
				t.Fatal(why)
			}
			for _, step := range []int{1, 300, 5000} {
				if why := brokenSteps(b, from, aborted, step); why != "" {
					t.Fatalf("in steps of %d: %s", step, why)
				}
			}
		}
	})
}

// brokenOffsets says what is wrong about the offsets of what DecodeBatches returns; "" is nothing.
func brokenOffsets(b []byte, from int64, aborted []Aborted) string {
	records, next, err := DecodeBatches(b, from, aborted)
	if next < from {
		return fmt.Sprintf("next %d is before %d", next, from)
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err.Error()
	}
	floor := from
	for i := range records {
		if o := records[i].Offset; o < floor || o >= next {
			return fmt.Sprintf("record %d has offset %d, which is not in %d…%d (error %v)", i, o, floor, next-1, err)
		}
		floor = records[i].Offset + 1
	}
	// What was consumed stays consumed: going on from next repeats nothing and does not go back.
	again, after, _ := DecodeBatches(b, next, aborted)
	if len(again) > 0 && again[0].Offset < next || after < next {
		return fmt.Sprintf("going on from %d: %d records, next %d", next, len(again), after)
	}
	return ""
}

func FuzzCursor(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1}, []byte{1, 2})
	f.Add([]byte{6, 'a', 'b', 'c', 1, 0, 0xff, 0x01}, []byte{3, 3, 3, 2, 0})
	f.Fuzz(func(t *testing.T, b, steps []byte) {
		c := cursor{b: b}
		for _, step := range steps {
			before, bad := len(c.b), c.bad
			var got []byte
			switch step % 4 {
			case 0:
				got = c.take(int(int8(step)))
			case 1:
				c.uvarint()
			case 2:
				c.varint()
			case 3:
				got = c.varbytes()
			}
			if len(c.b) > before || len(got) > before || cap(got) > before {
				t.Fatalf("%d bytes were there, %d are left, %d (room %d) were read", before, len(c.b), len(got), cap(got))
			}
			if bad && (!c.bad || len(got) > 0) {
				t.Fatal("a bad cursor went on")
			}
			if c.bad && len(c.b) > 0 {
				t.Fatal("a bad cursor kept its bytes")
			}
		}
	})
}

func FuzzSkipTags(f *testing.F) {
	f.Add([]byte{0, 1, 2})
	f.Add([]byte{2, 0, 1, 'x', 5, 0, 9})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, err := skipTags(b)
		if err == nil && !bytes.HasSuffix(b, rest) || err != nil && rest != nil {
			t.Fatalf("%x: rest %x, error %v", b, rest, err)
		}
		if err == nil && len(rest) == len(b) {
			t.Fatalf("%x: nothing was read", b)
		}
	})
}

// Batches with right checksums and arbitrary lies in their fields: what comes out still keeps to the offsets.
func TestDecodeForgedBatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			f := theirs{
				base:  rapid.OneOf(rapid.Int64Range(-2, 20), rapid.Int64()).Draw(t, "base"),
				last:  rapid.OneOf(rapid.Int32Range(-2, 5), rapid.Int32()).Draw(t, "last"),
				count: rapid.OneOf(rapid.Int32Range(-1, 4), rapid.Int32()).Draw(t, "count"),
				attributes: rapid.SampledFrom([]uint16{0, 0, attrTransactional, attrTransactional | attrControl, 1, 2, 3, 4, 5}).
					Draw(t, "attributes"),
				producer: rapid.Int64Range(-1, 2).Draw(t, "producer"),
			}
			for range rapid.IntRange(0, 4).Draw(t, "records") {
				f.body = appendRecord(f.body, &Record{Value: []byte("x")}, 0, rapid.Int64Range(-1, 5).Draw(t, "delta"))
			}
			f.body = append(f.body, rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "rubbish")...)
			b = append(b, f.encode()...)
		}
		aborted := []Aborted{{ProducerID: 1, FirstOffset: rapid.Int64Range(-1, 20).Draw(t, "aborted from")}}
		if why := brokenOffsets(b, rapid.Int64Range(0, 20).Draw(t, "from"), aborted); why != "" {
			t.Fatal(why)
		}
	})
}
