package kafkawire

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/balanceq/balanceq/internal/kafkatest"
)

// allocated returns how many bytes do allocates in all, freed or not.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func deflate(tb testing.TB, codec uint16, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := compress.Compression(codec).Codec().NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// compressed is the same batch with that codec.
func (f theirs) compressed(tb testing.TB, codec uint16) theirs {
	tb.Helper()
	f.attributes |= codec
	f.body = deflate(tb, codec, f.body)
	return f
}

var codecNames = map[uint16]string{1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

func TestDecodeCompressed(t *testing.T) {
	t.Parallel()
	for codec, name := range codecNames {
		t.Run(name, func(t *testing.T) {
			long := string(bytes.Repeat([]byte("0123456789"), 20_000)) // more than one snappy frame
			b := join(values(0, "a", long, "").compressed(t, codec).encode(), values(3, "b").encode())
			records, next, err := DecodeBatches(b, 1, nil)
			if err != nil || next != 4 || len(records) != 3 {
				t.Fatalf("%d records, next %d, error %v; want 3, 4", len(records), next, err)
			}
			if got := fmt.Sprintf("%t %q %q", string(records[0].Value) == long, records[1].Value,
				records[2].Value); got != `true "" "b"` {
				t.Errorf("got %s", got)
			}
		})
	}
	t.Run("raw snappy", func(t *testing.T) { // as librdkafka writes it: one block without the framing of the Java clients
		f := values(0, "a", "b")
		f.body = rawSnappy(f.body)
		f.attributes |= 2
		if records, _, err := DecodeBatches(f.encode(), 0, nil); err != nil || len(records) != 2 {
			t.Errorf("%d records, error %v", len(records), err)
		}
	})
	t.Run("emptied by compaction", func(t *testing.T) {
		b := theirs{base: 4, last: 3, attributes: 4, producer: 1}.encode()
		if _, next, err := DecodeBatches(b, 0, nil); err != nil || next != 8 {
			t.Errorf("next %d, error %v", next, err)
		}
	})
}

// rawSnappy is one block of one literal (up to 60 bytes).
func rawSnappy(b []byte) []byte {
	return append(append(binary.AppendUvarint(nil, uint64(len(b))), byte(len(b)-1)<<2), b...)
}

// A batch of a few bytes must not make us allocate gigabytes, whatever it claims.
func TestDecodeBatchesBombs(t *testing.T) {
	xerial := func(frame uint32, block ...byte) []byte {
		b := append(append([]byte{}, xerialMagic...), 0, 0, 0, 1, 0, 0, 0, 1)
		return theirs{attributes: 2, count: 1, body: append(be.AppendUint32(b, frame), block...)}.encode()
	}
	lying := appendVarint(nil, math.MaxInt64)
	cases := map[string]struct {
		b     []byte
		limit uint64
	}{
		"snappy block length": {theirs{attributes: 2, count: 1,
			body: binary.AppendUvarint(nil, math.MaxUint32)}.encode(), 1 << 20},
		"snappy frame length":       {xerial(math.MaxUint32, 1, 0, 'x'), 1 << 20},
		"snappy framed block":       {xerial(5, binary.AppendUvarint(nil, math.MaxUint32)...), 1 << 20},
		"snappy frames without end": {xerial(0), 1 << 20},
		"zstd window": {theirs{attributes: 4, count: 1,
			body: []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x98, 1, 0, 0}}.encode(), 2 * maxWindow},
		"record count":  {theirs{count: math.MaxInt32, body: make([]byte, 1000)}.encode(), 1 << 20},
		"record length": {theirs{count: 1, body: lying}.encode(), 1 << 20},
		"key length":    {theirs{count: 1, body: append([]byte{30, 0, 0, 0}, lying...)}.encode(), 1 << 20},
		"header count":  {theirs{count: 1, body: append([]byte{30, 0, 0, 0, 1, 1}, lying...)}.encode(), 1 << 20},
		"batch length":  {append(values(0, "x").encode()[:atLength], 0x7f, 0xff, 0xff, 0xff), 1 << 20},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var records []Record
			var err error
			if n := allocated(func() { records, _, err = DecodeBatches(c.b, 0, nil) }); n > c.limit {
				t.Errorf("%d bytes of input made it allocate %d MiB", len(c.b), n>>20)
			}
			if len(records) > 0 || (err == nil && name != "batch length") || (err != nil && !errors.Is(err, ErrCorrupt)) {
				t.Errorf("%d records, error %v", len(records), err)
			}
		})
	}
}

// Neither is a large batch an error whose records are within their limits.
func TestDecodeLargeBatch(t *testing.T) {
	t.Parallel()
	value := make([]byte, 3<<20)
	f := theirs{attributes: 1, count: 1, body: gzipped(t, appendRecord(nil, &Record{Value: value}, 0, 0))}
	records, _, err := DecodeBatches(f.encode(), 0, nil)
	if err != nil || len(records) != 1 || len(records[0].Value) != len(value) {
		t.Errorf("%d records, error %v", len(records), err)
	}
}

func gzipped(tb testing.TB, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// Another client writes with every codec, the broker stores it as it is, and we read it; then the other way round.
func TestCodecsOfAnotherClient(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			topic := broker.Topic(t, 1)
			cl := oracle(t, broker.Brokers(), kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic),
				kgo.ProducerLinger(50*time.Millisecond))
			var sent []*kgo.Record
			for i := range 200 {
				r := &kgo.Record{Key: fmt.Appendf(nil, "key %d", i%7), Value: bytes.Repeat([]byte{byte(i)}, i*10),
					Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i))}
				if i%3 == 0 {
					r.Headers = []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "null"}}
				}
				sent = append(sent, r)
			}
			if err := cl.ProduceSync(deadline(t), sent...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			got := fetchAll(t, wire(t, broker.Brokers()), topic, len(sent))
			for i, r := range sent {
				want := Record{Offset: int64(i), Time: r.Timestamp, Key: r.Key, Value: r.Value}
				for _, h := range r.Headers {
					want.Headers = append(want.Headers, Header{Key: h.Key, Value: h.Value})
				}
				if g, w := describe(&got[i]), describe(&want); g != w {
					t.Fatalf("record %d: got %s, want %s", i, g, w)
				}
			}
		})
	}
}

func codecOf(codec uint16) compress.Codec { return compress.Compression(codec).Codec() }
