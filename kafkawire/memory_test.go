package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// slack is what decoding may take besides what it hands out.
const slack = 64 << 20

// takesAtMost says whether do takes at most bound bytes of memory, and how many it took. Where the collector lags
// behind, on a busy machine, garbage counts too, and not each time: what do needs, it needs in the best of a few runs.
func takesAtMost(bound int64, do func()) (peak int64, ok bool) {
	for range 5 {
		if peak = peakHeap(do); peak <= bound {
			return peak, true
		}
	}
	return peak, false
}

// peakHeap returns by how many bytes the heap grew at most while do ran. It collects garbage often, and looks a few
// thousand times a second: between two collections the heap only grows, so what a look misses the next one sees.
func peakHeap(do func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	read := func() int64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		metrics.Read(s)
		return int64(s[0].Value.Uint64() + s[1].Value.Uint64())
	}
	runtime.GC()
	before := read()
	peak, stop, stopped := before, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			peak = max(peak, read())
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return peak - before
}

// inflated is a batch whose records are unit over and over, behind head and before tail, compressed without ever being
// whole.
func inflated(tb testing.TB, f theirs, codec uint16, head, unit []byte, n int, tail []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := compressor(tb, codec, &out)
	piece := bytes.Repeat(unit, max(1, (64<<10)/max(1, len(unit))))
	_, err := w.Write(head)
	for left := n * len(unit); left > 0 && err == nil; left -= min(left, len(piece)) {
		_, err = w.Write(piece[:min(left, len(piece))])
	}
	if err == nil {
		_, err = w.Write(tail)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	f.attributes, f.body, f.producer = codec, out.Bytes(), -1
	if codec == 4 && f.body[4]&(1<<5) == 0 { // claim 128 MiB
		f.body[5] = 17 << 3
	}
	return f.encode()
}

// recordHead is a record up to its value or, where value is negative, its headers; rest is how long what follows is.
func recordHead(delta, value, headers int64, rest int) []byte {
	b := []byte{0}
	b = appendVarint(b, 0)
	b = appendVarint(b, delta)
	b = append(b, 2, 'k')
	b = appendVarint(b, value)
	if value < 0 {
		b = appendVarint(b, headers)
	}
	return append(appendVarint(nil, int64(len(b)+rest)), b...)
}

// emptyRecords are the first n records of a batch without key, value and headers, without their lengths being
// compressible away.
func emptyRecords(n int) []byte {
	var b []byte
	for i := range n {
		b = appendRecord(b, &Record{}, 0, int64(i))
	}
	return b
}

// consume decodes what a fetch returned to its end, or its first error, and keeps two portions in memory, as a consumer
// does.
func consume(b []byte, limits FetchLimits, most int) (records int, oversized []Record, err error) {
	c := &Client{}
	var held [2]Fetched
	for next := int64(0); most > 0; most-- {
		p := kmsg.NewFetchResponseTopicPartition()
		p.RecordBatches = b
		held[0] = held[1]
		held[1], _ = c.decodePartition("t", &p, LogPosition{Offset: next, Epoch: NoEpoch}, limits, 0)
		f := &held[1]
		for i := range f.Records {
			if f.Records[i].Oversized != nil {
				oversized = append(oversized, f.Records[i])
			}
		}
		records += len(f.Records)
		if f.Err != nil || f.Next == next {
			return records, oversized, f.Err
		}
		next = f.Next
	}
	return records, oversized, nil
}

// What a publisher can get into a topic of 1 MiB a batch, and what an instance died of or stood still for.
func TestMemoryOfBombs(t *testing.T) {
	one, zero := theirs{count: 1}, make([]byte, 1)
	value := func(mib int) []byte { return recordHead(0, int64(mib)<<20, 0, mib<<20+1) }
	cases := map[string]struct {
		make      func(tb testing.TB) []byte
		records   int
		oversized int
	}{
		"8 million headers, zstd": {func(tb testing.TB) []byte {
			const n = 8 << 20
			return inflated(tb, one, 4, recordHead(0, -1, n, 2*n), []byte{0, 0}, n, nil)
		}, 1, 1},
		"4 million empty records, zstd": {func(tb testing.TB) []byte {
			const n = 4 << 20
			return inflated(tb, theirs{count: n, last: n - 1}, 4, emptyRecords(n), nil, 0, nil)
		}, 4 << 20, 0},
		"19 values of 60 MiB, gzip": {func(tb testing.TB) []byte {
			b := inflated(tb, one, 1, value(60), zero, 60<<20, zero)
			var all []byte
			for i := range 19 {
				be.PutUint64(b, uint64(i))
				all = append(all, b...)
			}
			return all
		}, 19, 19},
		"a value of 127 MiB, zstd": {func(tb testing.TB) []byte {
			return inflated(tb, one, 4, value(127), zero, 127<<20,
				zero)
		}, 1, 1},
		"a value of 400 MiB, lz4": {func(tb testing.TB) []byte {
			return inflated(tb, one, 3, value(400), zero, 400<<20,
				zero)
		}, 1, 1},
		"a value of 200 MiB, snappy in frames": {func(tb testing.TB) []byte {
			return inflated(tb, one, 2, value(200), zero, 200<<20, zero)
		}, 1, 1},
		"a value of 100 MiB, one block of snappy": {func(tb testing.TB) []byte {
			return theirs{count: 1, producer: -1, attributes: 2,
				body: snappy.Encode(nil, append(append(value(100), make([]byte, 100<<20)...), 0))}.encode()
		}, 1, 1},
		"60 values of 3 MiB, zstd": {func(tb testing.TB) []byte {
			var unit []byte
			for i := range 60 {
				unit = appendRecord(unit, &Record{Value: make([]byte, 3<<20)}, 0, int64(i))
			}
			return inflated(tb, theirs{count: 60, last: 59}, 4, unit, nil, 0, nil)
		}, 60, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := c.make(t)
			limits := FetchLimits{Portion: defaultPortion}
			var records int
			var oversized []Record
			var err error
			bound := int64(2*limits.Portion + slack)
			if peak, ok := takesAtMost(bound, func() { records, oversized, err = consume(b, limits, 1<<20) }); !ok {
				t.Errorf("%d bytes of input took %d MiB, more than %d", len(b), peak>>20, bound>>20)
			} else {
				t.Logf("%d bytes of input took %d MiB", len(b), peak>>20)
			}
			if err != nil || records != c.records || len(oversized) != c.oversized {
				t.Errorf("%d records, %d oversized, error %v", records, len(oversized), err)
			}
		})
	}
}

// compressor writes with a codec; 0 is none.
func compressor(tb testing.TB, codec uint16, to io.Writer) io.WriteCloser {
	tb.Helper()
	switch codec {
	case 0:
		return uncompressed{to}
	case 4:
		w, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			tb.Fatal(err)
		}
		return w
	default:
		return codecOf(codec).NewWriter(to)
	}
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

// Whatever the input: what decoding takes is bounded, it ends, and it goes on.
func FuzzDecodeMemory(f *testing.F) {
	f.Add(uint8(4), uint32(1), uint32(0), recordHead(0, -1, 1<<20, 2<<20), []byte{0, 0}, uint32(1<<20), []byte(nil))
	f.Add(uint8(1), uint32(1), uint32(0), recordHead(0, 30<<20, 0, 30<<20+1), []byte{0}, uint32(30<<20), []byte{0})
	f.Add(uint8(2), uint32(1), uint32(0), recordHead(0, 9<<20, 0, 9<<20+1), []byte("ab"), uint32(5<<20), []byte{0})
	f.Add(uint8(3), uint32(9), uint32(8), appendRecord(nil, &Record{}, 0, 0), emptyRecords(8)[7:], uint32(1), []byte(nil))
	f.Add(uint8(0), uint32(1<<31-1), uint32(1<<31-2), []byte{30}, []byte{0}, uint32(100), []byte{1})
	f.Add(uint8(4), uint32(2000), uint32(1999), emptyRecords(1000), []byte{14}, uint32(1), []byte{0, 0, 0, 1, 1, 0})
	f.Fuzz(func(t *testing.T, codec uint8, count, last uint32, head, unit []byte, n uint32, tail []byte) {
		times := min(int(n), (64<<20)/max(1, len(unit)))
		b := inflated(t, theirs{count: int32(count), last: int32(last)}, uint16(codec%5), head, unit, times, tail)
		limits := FetchLimits{Portion: 1 << 20}
		if peak, ok := takesAtMost(int64(2*limits.Portion+slack), func() { _, _, _ = consume(b, limits, 200) }); !ok {
			t.Fatalf("%d bytes of input took %d MiB", len(b), peak>>20)
		}
	})
}

// A window that claims more than is read costs nothing, and data that need it come out by position: the batch is valid.
func TestZstdWindows(t *testing.T) {
	random := make([]byte, 12<<20)
	state := uint64(1)
	for i := 0; i < len(random); i += 8 {
		state = state*6364136223846793005 + 1442695040888963407
		binary.BigEndian.PutUint64(random[i:], state^state>>29)
	}
	small := values(0, "a", "b").body
	t.Run("announced", func(t *testing.T) {
		b := inflated(t, theirs{count: 2, last: 1}, 4, small, nil, 0, nil)
		records, oversized, err := consume(b, FetchLimits{}, 9)
		if err != nil || records != 2 || len(oversized) > 0 {
			t.Errorf("%d records, %d oversized, error %v", records, len(oversized), err)
		}
	})
	for name, options := range map[string][]zstd.EOption{"window": nil, "single segment": {zstd.WithSingleSegment(true)}} {
		t.Run("needed, "+name, func(t *testing.T) {
			f := theirs{count: 14, last: 13, producer: -1, attributes: 4}
			var body []byte
			for i := range 14 { // the last ones repeat the first ones, 12 MiB before
				body = appendRecord(body, &Record{Value: random[i%12<<20 : (i%12+1)<<20]}, 0, int64(i))
			}
			w, err := zstd.NewWriter(nil, append(options, zstd.WithWindowSize(32<<20),
				zstd.WithEncoderLevel(zstd.SpeedBestCompression))...)
			if err != nil {
				t.Fatal(err)
			}
			f.body = w.EncodeAll(body, nil)
			if len(f.body) > 12<<20+(1<<20) {
				t.Fatalf("%d bytes: nothing refers back so far", len(f.body))
			}
			records, oversized, err := consume(f.encode(), FetchLimits{}, 99)
			// a block may hold the end of a record and such a reference
			if err != nil || records != 14 || len(oversized) == 0 || len(oversized) > 3 {
				t.Fatalf("%d records, %d oversized, error %v", records, len(oversized), err)
			}
			if last := oversized[len(oversized)-1]; last.Offset != 13 || !strings.Contains(last.Oversized.Why, "window") {
				t.Errorf("%+v %+v", last, last.Oversized)
			}
		})
	}
}

// A block that is decompressed piece by piece gives what it gives at once.
func FuzzSnappyBlock(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabcabcabcabc"), true)
	f.Add(bytes.Repeat([]byte("0123456789 and so on, "), 9000), true)
	f.Add([]byte{5, 0, 'x', 1, 0}, false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff}, false)
	f.Fuzz(func(t *testing.T, b []byte, encode bool) {
		if encode {
			b = snappy.Encode(nil, b)
		}
		n, read := binary.Uvarint(b)
		if read <= 0 || n > 16<<20 {
			return
		}
		want, wantErr := snappy.Decode(nil, b)
		s := snappyBlock{b: b[read:], left: int64(n)}
		var got []byte
		var err error
		for err == nil {
			var piece []byte
			piece, err = s.decompress()
			got = append(got, piece...)
		}
		if errors.Is(err, io.EOF) != (wantErr == nil) || wantErr == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v; want %d, %v", len(got), err, len(want), wantErr)
		}
	})
}
