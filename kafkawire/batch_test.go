package kafkawire

import (
	"fmt"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func genBytes(t *rapid.T, label string) []byte {
	if rapid.Bool().Draw(t, label+" is null") {
		return nil
	}
	return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, label)...) // never nil: empty is not null
}

func genRecord(t *rapid.T) Record {
	r := Record{
		Time:  time.UnixMilli(rapid.Int64Range(-1<<40, 1<<45).Draw(t, "time")),
		Key:   genBytes(t, "key"),
		Value: genBytes(t, "value"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		r.Headers = append(r.Headers, Header{Key: rapid.String().Draw(t, "header"), Value: genBytes(t, "header value")})
	}
	return r
}

func genRecords(t *rapid.T) []Record {
	n := rapid.IntRange(1, 20).Draw(t, "records")
	records := make([]Record, n)
	for i := range records {
		records[i] = genRecord(t)
	}
	return records
}

func genID(t *rapid.T) ProducerID {
	return ProducerID{ID: rapid.Int64Min(-1).Draw(t, "producer id"), Epoch: rapid.Int16Min(-1).Draw(t, "epoch")}
}

// at returns the batch as a broker would store it: with a base offset.
func at(batch []byte, offset int64) []byte {
	be.PutUint64(batch, uint64(offset))
	return batch
}

func TestBatchRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := genRecords(t)
		base := rapid.Int64Range(0, 1<<50).Draw(t, "base offset")
		batch := AppendBatch(nil, genID(t), rapid.Int32Min(0).Draw(t, "sequence"), records, time.UnixMilli(7))
		got, next, err := DecodeBatches(at(batch, base), base, nil)
		if err != nil {
			t.Fatalf("decoding: %v", err)
		}
		if want := base + int64(len(records)); next != want || len(got) != len(records) {
			t.Fatalf("got %d records and next %d, want %d and %d", len(got), next, len(records), want)
		}
		for i := range records {
			records[i].Offset = base + int64(i)
			if g, w := describe(&got[i]), describe(&records[i]); g != w {
				t.Fatalf("record %d: got %s, want %s", i, g, w)
			}
		}
	})
}

// What we write, kmsg (the codec of another client) reads, field by field.
func TestBatchIsWhatOthersRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records, id := genRecords(t), genID(t)
		sequence := rapid.Int32Min(0).Draw(t, "sequence")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "what dst holds already")
		b := AppendBatch(append([]byte(nil), prefix...), id, sequence, records, time.UnixMilli(7))
		if string(b[:len(prefix)]) != string(prefix) {
			t.Fatal("AppendBatch changed what was there")
		}
		b = b[len(prefix):]
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(b); err != nil {
			t.Fatalf("kmsg: %v", err)
		}
		first, latest := records[0].Time.UnixMilli(), records[0].Time.UnixMilli()
		for i := range records {
			latest = max(latest, records[i].Time.UnixMilli())
		}
		got := fmt.Sprint(batch.FirstOffset, batch.Length, batch.PartitionLeaderEpoch, batch.Magic, uint32(batch.CRC),
			batch.Attributes,
			batch.LastOffsetDelta, batch.FirstTimestamp, batch.MaxTimestamp, batch.ProducerID, batch.ProducerEpoch,
			batch.FirstSequence, batch.NumRecords)
		want := fmt.Sprint(0, len(b)-12, -1, 2, crc32.Checksum(b[21:], castagnoli), 0,
			len(records)-1, first, latest, id.ID, id.Epoch, sequence, len(records))
		if got != want {
			t.Fatalf("batch: got %s, want %s", got, want)
		}
		rest := batch.Records
		for i := range records {
			var r kmsg.Record
			if err := r.ReadFrom(rest); err != nil {
				t.Fatalf("kmsg record %d: %v", i, err)
			}
			rest = rest[varintSize(int64(r.Length))+int(r.Length):]
			back := Record{Offset: int64(r.OffsetDelta), Time: time.UnixMilli(first + r.TimestampDelta64), Key: r.Key,
				Value: r.Value}
			for _, h := range r.Headers {
				back.Headers = append(back.Headers, Header{Key: h.Key, Value: h.Value})
			}
			records[i].Offset = int64(i)
			if g, w := describe(&back), describe(&records[i]); g != w {
				t.Fatalf("record %d: got %s, want %s", i, g, w)
			}
		}
		if len(rest) != 0 {
			t.Fatalf("%d bytes are left after the last record", len(rest))
		}
	})
}

// What kmsg writes (deltas of its own choosing, as after compaction), we read.
func TestBatchesOfOthers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := genRecords(t)
		base := rapid.Int64Range(0, 1<<50).Draw(t, "base offset")
		first := records[0].Time.UnixMilli()
		var body []byte
		delta := int32(-1)
		for i := range records {
			delta += rapid.Int32Range(1, 1000).Draw(t, "step") // compaction leaves gaps
			records[i].Offset = base + int64(delta)
			r := kmsg.Record{TimestampDelta64: records[i].Time.UnixMilli() - first, OffsetDelta: delta, Key: records[i].Key,
				Value: records[i].Value}
			for _, h := range records[i].Headers {
				r.Headers = append(r.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
			}
			r.Length = int32(len(r.AppendTo(nil)) - 1) // a length of 0 takes one byte
			body = r.AppendTo(body)
		}
		last := delta + rapid.Int32Range(0, 1000).Draw(t, "compacted at the end")
		b := theirs{base: base, last: last, first: first, count: int32(len(records)), body: body}.encode()
		got, next, err := DecodeBatches(b, base, nil)
		if err != nil || next != base+int64(last)+1 || len(got) != len(records) {
			t.Fatalf("got %d records, next %d, error %v; want %d, %d", len(got), next, err, len(records), base+int64(last)+1)
		}
		for i := range records {
			if g, w := describe(&got[i]), describe(&records[i]); g != w {
				t.Fatalf("record %d: got %s, want %s", i, g, w)
			}
		}
	})
}

func TestBatchZeroTimeIsNow(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_123)
	earlier := now.Add(-time.Hour)
	b := AppendBatch(nil, ProducerID{}, 0, []Record{{}, {Time: earlier}}, now)
	got, _, err := DecodeBatches(b, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !got[0].Time.Equal(now) || !got[1].Time.Equal(earlier) {
		t.Errorf("times: got %v and %v, want %v and %v", got[0].Time, got[1].Time, now, earlier)
	}
}

func TestStamp(t *testing.T) {
	t.Parallel()
	records := []Record{{Value: []byte("one"), Time: time.UnixMilli(1)}, {Value: []byte("two"), Time: time.UnixMilli(2)}}
	stamped := AppendBatch(nil, ProducerID{ID: 1, Epoch: 2}, 3, records, time.Time{})
	id := ProducerID{ID: math.MaxInt64, Epoch: math.MaxInt16}
	Stamp(stamped, id, math.MaxInt32)
	if made := AppendBatch(nil, id, math.MaxInt32, records, time.Time{}); string(stamped) != string(made) {
		t.Errorf("a stamped batch differs from one made so:\n%x\n%x", stamped, made)
	}
	if _, _, err := DecodeBatches(stamped, 0, nil); err != nil {
		t.Errorf("a stamped batch cannot be decoded: %v", err)
	}
}

// The reference is Kafka's DefaultRecordBatch.incrementSequence.
func TestNextSequence(t *testing.T) {
	t.Parallel()
	java := func(sequence, increment int32) int32 {
		if sequence > math.MaxInt32-increment {
			return increment - (math.MaxInt32 - sequence) - 1
		}
		return sequence + increment
	}
	rapid.Check(t, func(t *rapid.T) {
		sequence := rapid.Int32Min(0).Draw(t, "sequence")
		n := rapid.Int32Range(1, 1<<20).Draw(t, "records")
		if got, want := NextSequence(sequence, int(n)), java(sequence, n); got != want {
			t.Fatalf("%d after %d: got %d, want %d", n, sequence, got, want)
		}
	})
	for name, c := range map[string]struct {
		sequence int32
		n        int
		want     int32
	}{
		"first":     {0, 1, 1},
		"the last":  {math.MaxInt32 - 1, 1, math.MaxInt32},
		"wraps":     {math.MaxInt32, 1, 0},
		"far round": {math.MaxInt32 - 1, 5, 3},
	} {
		if got := NextSequence(c.sequence, c.n); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestRecordSizeIsAnUpperBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := genRecords(t)
		bound := batchHead
		for i := range records {
			bound += RecordSize(&records[i])
		}
		if size := len(AppendBatch(nil, ProducerID{}, 0, records, time.Now())); size > bound {
			t.Fatalf("%d bytes, bound %d", size, bound)
		}
	})
}
