package kafkawire

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func TestDecodeBatches(t *testing.T) {
	t.Parallel()
	one, two := values(10, "a", "b").encode(), values(12, "c").encode()
	cases := map[string]struct {
		b       []byte
		from    int64
		aborted []Aborted
		want    string // values in order
		next    int64
	}{
		"nothing":                 {nil, 5, nil, "", 5},
		"two batches":             {join(one, two), 10, nil, "a b c", 13},
		"from inside a batch":     {join(one, two), 11, nil, "b c", 13},
		"a batch below the start": {join(one, two), 12, nil, "c", 13},
		"everything below":        {join(one, two), 20, nil, "", 20},
		"a gap before":            {join(one, two), 3, nil, "a b c", 13},
		"cut in the head":         {join(one, two[:30]), 10, nil, "a b", 12},
		"cut in the body":         {join(one, two[:len(two)-1]), 10, nil, "a b", 12},
		"cut in the length":       {join(one, two[:9]), 10, nil, "a b", 12},
		"only a cut batch":        {one[:40], 10, nil, "", 10},
		"empty after compaction": {join(theirs{base: 10, last: 7, producer: 1}.encode(), values(18, "x").encode()), 10,
			nil, "x", 19},
		"control moves next":  {join(one, marker(12, 1, commit)), 10, nil, "a b", 13},
		"nothing but control": {join(marker(10, 1, commit), marker(11, 2, abort)), 10, nil, "", 12},
		"committed":           {join(values(0, "a").transactional(1).encode(), marker(1, 1, commit)), 0, nil, "a", 2},
		"aborted": {join(values(0, "a").transactional(1).encode(), marker(1, 1, abort)), 0,
			[]Aborted{{1, 0}}, "", 2},
		"aborted, from its middle": {join(values(0, "a", "b").transactional(1).encode(), marker(2, 1, abort)), 1,
			[]Aborted{{1, 0}}, "", 3},
		"aborted, cut before marker": {values(0, "a").transactional(1).encode(), 0, []Aborted{{1, 0}}, "", 1},
		"not transactional, same producer": {
			join(theirs{base: 0, producer: 1, count: 1, body: values(0, "a").body}.encode()), 0, []Aborted{{1, 0}}, "a", 1},
		"abort, then commit of the same producer": {
			join(values(0, "a").transactional(1).encode(), marker(1, 1, abort), values(2, "b").transactional(1).encode(),
				marker(3, 1, commit)),
			0, []Aborted{{1, 0}}, "b", 4},
		"abort, then abort again": {
			join(values(0, "a").transactional(1).encode(), marker(1, 1, abort), values(2, "b").transactional(1).encode(),
				marker(3, 1, abort)),
			0, []Aborted{{1, 2}, {1, 0}}, "", 4}, // the list comes unordered
		"interleaved producers": {
			join(values(0, "a").transactional(1).encode(), values(1, "b").transactional(2).encode(), values(2, "c").encode(),
				values(3, "d").transactional(1).encode(), marker(4, 1, abort), values(5, "e").transactional(2).encode(),
				values(6, "f").transactional(1).encode(), marker(7, 2, commit), marker(8, 1, commit)),
			0, []Aborted{{1, 0}}, "b c e f", 9},
		// A fetch that ends right before an abort marker makes the next one begin with it. The broker still lists the
		// transaction, as its marker is in range; the producer's next transaction must not be taken for it.
		"from the abort marker": {
			join(marker(1, 1, abort), values(2, "b").transactional(1).encode(), marker(3, 1, commit)), 1, []Aborted{{1, 0}}, "b",
			4},
		"from the abort marker, second transaction aborted too": {
			join(marker(1, 1, abort), values(2, "b").transactional(1).encode(), marker(3, 1, abort), values(4, "c").
				transactional(1).encode()),
			1, []Aborted{{1, 0}, {1, 2}}, "c", 5},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			given := append([]byte(nil), c.b...)
			records, next, err := DecodeBatches(c.b, c.from, c.aborted)
			var got []string
			for i := range records {
				got = append(got, string(records[i].Value))
			}
			if s := strings.Join(got, " "); err != nil || s != c.want || next != c.next {
				t.Errorf("got %q, next %d, error %v; want %q, next %d", s, next, err, c.want, c.next)
			}
			if string(given) != string(c.b) {
				t.Error("the input was changed")
			}
		})
	}
}

// On an error the good batches before it are still there, and next points at the bad one: nothing is skipped.
func TestDecodeBatchesRefuses(t *testing.T) {
	t.Parallel()
	edit := func(t theirs, change func(*theirs)) []byte {
		change(&t)
		return t.encode()
	}
	raw := func(change func([]byte)) []byte {
		b := values(2, "x").encode()
		change(b)
		return b
	}
	record := func(b ...byte) theirs {
		return theirs{base: 2, producer: -1, count: 1, body: append(appendVarint(nil, int64(len(b))), b...)}
	}
	cases := map[string]struct {
		b    []byte
		want string
	}{
		"magic 0":             {raw(func(b []byte) { b[atMagic] = 0 }), "format 0"},
		"magic 1":             {raw(func(b []byte) { b[atMagic] = 1 }), "format 1"},
		"wrong checksum":      {raw(func(b []byte) { b[len(b)-1] ^= 1 }), "checksum"},
		"changed head":        {raw(func(b []byte) { b[atProducerID] ^= 1 }), "checksum"},
		"length too small":    {raw(func(b []byte) { be.PutUint32(b[atLength:], 48) }), "60 bytes"},
		"negative length":     {raw(func(b []byte) { be.PutUint32(b[atLength:], 0x80000000) }), "offset 2"},
		"unknown codec":       {edit(values(2, "x"), func(t *theirs) { t.attributes = 7 }), "codec"},
		"not really gzip":     {edit(values(2, "x"), func(t *theirs) { t.attributes = 1 }), "gzip"},
		"not really snappy":   {edit(values(2, "x"), func(t *theirs) { t.attributes = 2 }), "snappy"},
		"not really lz4":      {edit(values(2, "x"), func(t *theirs) { t.attributes = 3 }), "lz4"},
		"not really zstd":     {edit(values(2, "x"), func(t *theirs) { t.attributes = 4 }), "zstd"},
		"count too high":      {edit(values(2, "x"), func(t *theirs) { t.count = 2 }), "offset 2"},
		"count absurd":        {edit(values(2, "x"), func(t *theirs) { t.count = math.MaxInt32 }), "offset 2"},
		"count too low":       {edit(values(2, "x", "y"), func(t *theirs) { t.count = 1 }), "offset 2"},
		"count negative":      {edit(values(2, "x"), func(t *theirs) { t.count = -1 }), "offset 2"},
		"last delta negative": {edit(values(2, "x"), func(t *theirs) { t.last = -1 }), "offset 2"},
		"offsets overflow": {edit(values(math.MaxInt64, "x"), func(t *theirs) { t.last = 5 }),
			"offset 9223372036854775807"},
		"negative base offset":    {edit(values(-7, "x"), func(t *theirs) { t.last = 100 }), "offset -7"},
		"base offset goes back":   {values(0, "x", "y", "z").encode(), "offset 0"},
		"record beyond the batch": {edit(values(2, "x", "y"), func(t *theirs) { t.last = 0 }), "offset 2"},
		"record before the batch": {record(0, 0, 1, 1, 1, 0).encode(), "offset 2"}, // offset delta -1
		"record twice": {edit(values(2, "x"), func(t *theirs) { t.count, t.body = 2, join(t.body, t.body) }),
			"offset 2"},
		"record too long":       {record(0, 0, 0, 1, 20, 'x', 0).encode(), "offset 2"},
		"record size negative":  {theirs{base: 2, count: 1, body: []byte{1, 0, 0, 0}}.encode(), "offset 2"},
		"record size huge":      {theirs{base: 2, count: 1, body: appendVarint(nil, math.MaxInt64)}.encode(), "offset 2"},
		"header count too high": {record(0, 0, 0, 1, 1, 8).encode(), "offset 2"},
		"header count huge": {record(append([]byte{0, 0, 0, 1, 1}, appendVarint(nil, math.MaxInt64)...)...).encode(),
			"offset 2"},
		"header count negative": {record(0, 0, 0, 1, 1, 1).encode(), "offset 2"},
		"unending varint": {record(0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80).encode(),
			"offset 2"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			records, next, err := DecodeBatches(join(values(0, "a", "b").encode(), c.b, values(9, "never").encode()), 0, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q (%d records, next %d)", err, c.want, len(records), next)
			}
			if len(records) != 2 || string(records[1].Value) != "b" || next != 2 {
				t.Errorf("got %d records and next %d, want the 2 good ones and next 2", len(records), next)
			}
			if Transient(err) {
				t.Errorf("%v is called transient: the log will say the same for ever", err)
			}
			var ke kafka.Error
			if errors.As(err, &ke) {
				t.Errorf("%v pretends to be the broker's answer", err)
			}
		})
	}
}

// A topic with message.timestamp.type=LogAppendTime leaves the producer's times in the records and puts its own into
// the batch's head.
func TestDecodeBatchesLogAppendTime(t *testing.T) {
	t.Parallel()
	b := values(0, "a", "b")
	b.first, b.max, b.attributes = 1_000, 99_000, 1<<3
	records, _, err := DecodeBatches(b.encode(), 0, nil)
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, error %v", len(records), err)
	}
	for i := range records {
		if want := time.UnixMilli(99_000); !records[i].Time.Equal(want) {
			t.Errorf("record %d: time %v, want %v", i, records[i].Time, want)
		}
	}
}

// Two records of one batch must not share a slice that an append could run through.
func TestDecodeBatchesClipsSlices(t *testing.T) {
	t.Parallel()
	records, _, err := DecodeBatches(values(0, "a", "b").encode(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(records[0].Value, "XXXXXXXXX"...) // as many bytes as the batch still has
	if string(records[1].Value) != "b" {
		t.Errorf("appending to one record's value changed the next one: %q", records[1].Value)
	}
}
