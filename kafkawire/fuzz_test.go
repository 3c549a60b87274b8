package kafkawire

import (
	"bytes"
	"testing"
	"time"
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
	f.Add(join(values(0, "a").transactional(1).encode(), marker(1, 1, abort), values(2, "b").transactional(1).encode()), int64(0), int64(1), int64(0))
	f.Add(AppendBatch(nil, ProducerID{7, 1}, 9, []Record{{Key: []byte("k"), Headers: []Header{{Key: "h"}, {Key: "i", Value: []byte("v")}}}}, time.UnixMilli(1)), int64(0), int64(7), int64(0))
	for codec := range codecNames {
		f.Add(values(0, "a", "b").compressed(f, codec).encode(), int64(0), int64(0), int64(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, from, producer, first int64) {
		if from < 0 { // no consumer asks for that
			return
		}
		for _, b := range [][]byte{b, reseal(b)} {
			records, next, err := DecodeBatches(b, from, []Aborted{{ProducerID: producer, FirstOffset: first}})
			if next < from {
				t.Fatalf("next %d is before %d", next, from)
			}
			floor := from
			for i := range records {
				if o := records[i].Offset; o < floor || o >= next {
					t.Fatalf("record %d has offset %d, not from %d to %d (error %v)", i, o, floor, next, err)
				}
				floor = records[i].Offset + 1
			}
			// What was consumed stays consumed: going on from next repeats nothing.
			again, after, _ := DecodeBatches(b, next, nil)
			if len(again) > 0 && err == nil && again[0].Offset < next || after < next {
				t.Fatalf("going on from %d: %d records, next %d", next, len(again), after)
			}
		}
	})
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
