package kafkawire

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// portions fetches until the end, as a consumer does whose broker returns whole batches. It returns what has been
// handed out at once.
func portions(tb testing.TB, b []byte, limits FetchLimits, each func([]Record)) (n int) {
	tb.Helper()
	c := &Client{}
	for next := int64(0); ; n++ {
		p := kmsg.NewFetchResponseTopicPartition()
		p.RecordBatches = b
		f, _ := c.decodePartition("t", &p, LogPosition{Offset: next, Epoch: NoEpoch}, limits, 0)
		if f.Err != nil {
			tb.Fatal(f.Err)
		}
		if f.Next == next {
			return n
		}
		for i := range f.Records {
			if o := f.Records[i].Offset; o < next || o >= f.Next {
				tb.Fatalf("offset %d in the portion %d to %d", o, next, f.Next)
			}
		}
		each(f.Records)
		next = f.Next
	}
}

// A batch comes out complete and in order in portions, whatever its codec, and whether or not the reader is kept in
// between.
func TestPortions(t *testing.T) {
	t.Parallel()
	of := func(n int) (f theirs) {
		f = theirs{last: int32(n - 1), producer: -1, count: int32(n)}
		for i := range n {
			f.body = appendRecord(f.body, &Record{
				Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte{byte(i)}, i%300),
				Headers: []Header{{Key: "h", Value: []byte("v")}},
			}, 0, int64(i))
		}
		return f
	}
	tests := []struct{ portion, n, least, most int }{ // least and most portions
		{1, 500, 500, 500}, {5000, 500, 5, 500}, {400_000, 5000, 3, 50}, {1 << 30, 5000, 1, 1},
	}
	for codec := uint16(0); codec <= 4; codec++ {
		for _, test := range tests {
			t.Run(fmt.Sprintf("codec %d, %d bytes", codec, test.portion), func(t *testing.T) {
				f, want := of(test.n), 0
				if codec > 0 {
					f = f.compressed(t, codec)
				}
				limits := FetchLimits{Portion: test.portion, Memory: 1 << 30}
				parts := portions(t, f.encode(), limits, func(records []Record) {
					for i := range records {
						if string(records[i].Key) != fmt.Sprint(want) || len(records[i].Value) != want%300 ||
							len(records[i].Headers) != 1 {
							t.Fatalf("record %d: %s", want, describe(&records[i]))
						}
						want++
					}
				})
				if want != test.n || parts < test.least || parts > test.most {
					t.Errorf("%d records in %d portions", want, parts)
				}
			})
		}
	}
}

// whole decodes at once, and inSteps in steps, each of them after what was fetched before is gone.
func whole(b []byte, from int64, aborted []Aborted) Portion {
	d := decoding{limits: DecodeLimits{}.orDefault(), b: b, from: from, next: from, aborts: newAborts(aborted)}
	p := d.portion()
	d.inside.close()
	return p
}

func inSteps(b []byte, from int64, aborted []Aborted, step int) (sum Portion, steps int) {
	d := decoding{limits: DecodeLimits{Step: step}.orDefault(), b: bytes.Clone(b), copies: max(minChunk, step/2),
		from: from, next: from, aborts: newAborts(aborted)}
	p := d.portion()
	d.inside.close()
	for begin := from; ; {
		steps++
		if slices.ContainsFunc(p.Epochs, func(e EpochStart) bool { return e.From < begin }) {
			return Portion{}, steps
		}
		sum.Records = append(sum.Records, p.Records...)
		for _, e := range p.Epochs {
			if n := len(sum.Epochs); n == 0 || sum.Epochs[n-1].Epoch != e.Epoch {
				sum.Epochs = append(sum.Epochs, e)
			}
		}
		sum.Next, sum.Err = p.Next, p.Err
		if p.Rest == nil {
			return sum, steps
		}
		begin, p = p.Next, p.Rest.Decode()
	}
}

// brokenSteps says where decoding in steps differs from decoding at once; "" is nowhere. Of a batch that cannot be
// decoded, the records before the mistake may be there.
func brokenSteps(b []byte, from int64, aborted []Aborted, step int) string {
	want := whole(b, from, aborted)
	if want.Memory > defaultPortion/2 {
		return "" // not all of it
	}
	got, _ := inSteps(b, from, aborted, step)
	if got.Epochs == nil && len(want.Epochs) > 0 {
		return "a step has an epoch that begins before it"
	}
	if c, ok := errors.AsType[*CorruptError](want.Err); ok && len(got.Records) > len(want.Records) {
		for _, r := range got.Records[len(want.Records):] {
			if r.Offset < want.Next || r.Offset >= got.Next {
				return fmt.Sprintf("record %d of the batch from %d to %d; goes on at %d", r.Offset, c.First, c.Last, got.Next)
			}
		}
		got.Records, got.Next = got.Records[:len(want.Records)], want.Next
		got.Epochs = got.Epochs[:min(len(got.Epochs), len(want.Epochs))]
	}
	switch {
	case got.Next != want.Next:
		return fmt.Sprintf("goes on at %d instead of %d", got.Next, want.Next)
	case !reflect.DeepEqual(got.Err, want.Err):
		return fmt.Sprintf("%v instead of %v", got.Err, want.Err)
	case len(got.Records) != len(want.Records):
		return fmt.Sprintf("%d records instead of %d", len(got.Records), len(want.Records))
	case !slices.Equal(got.Epochs, want.Epochs):
		return fmt.Sprintf("epochs %v instead of %v", got.Epochs, want.Epochs)
	}
	for i := range got.Records {
		if !reflect.DeepEqual(got.Records[i], want.Records[i]) {
			return fmt.Sprintf("%s instead of %s", describe(&got.Records[i]), describe(&want.Records[i]))
		}
	}
	return ""
}

// In steps the same comes out as at once, of whatever a log may hold.
func TestSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var b []byte
		var aborted []Aborted
		next, epoch := int64(0), int32(0)
		for range rapid.IntRange(1, 6).Draw(rt, "batches") {
			next += rapid.Int64Range(0, 2).Draw(rt, "gap") // left by compaction
			n := rapid.SampledFrom([]int{1, 2, 50, 800}).Draw(rt, "records")
			f := theirs{base: next, last: int32(n - 1), producer: -1, count: int32(n)}
			for i := range n {
				size := rapid.SampledFrom([]int{0, 10, 10, 10, 300, 70_000}).Draw(rt, "size")
				f.body = appendRecord(f.body, &Record{Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte{byte(i)}, size),
					Headers: []Header{{Key: "h", Value: []byte("v")}}}, int64(i), int64(i))
				if size > 300 { // one such record is enough
					f.last, f.count = int32(i), int32(i+1)
					break
				}
			}
			kind := rapid.SampledFrom([]string{"plain", "compressed", "aborted", "committed"}).Draw(rt, "kind")
			if kind == "aborted" || kind == "committed" {
				f = f.transactional(7)
			}
			if kind == "compressed" {
				f = f.compressed(t, uint16(rapid.IntRange(1, 4).Draw(rt, "codec")))
			}
			batch := f.encode()
			epoch += rapid.Int32Range(0, 1).Draw(rt, "elections")
			be.PutUint32(batch[atLeaderEpoch:], uint32(epoch))
			b = append(b, batch...)
			switch first := next; kind {
			case "aborted":
				aborted = append(aborted, Aborted{7, first})
				next += int64(f.count)
				b = append(b, marker(next, 7, abort)...)
				next++
			case "committed":
				next += int64(f.count)
				b = append(b, marker(next, 7, commit)...)
				next++
			default:
				next += int64(f.count)
			}
		}
		if rapid.Bool().Draw(rt, "cut") {
			b = b[:len(b)-rapid.IntRange(0, len(b)/2).Draw(rt, "off")]
		}
		if rapid.IntRange(0, 3).Draw(rt, "broken") == 0 {
			b = bytes.Clone(b)
			b[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] ^= 0x40
			if rapid.Bool().Draw(rt, "sealed") {
				b = reseal(b)
			}
		}
		step := rapid.SampledFrom([]int{1, 300, 5000, 128 << 10}).Draw(rt, "step")
		if why := brokenSteps(b, rapid.Int64Range(0, next).Draw(rt, "from"), aborted, step); why != "" {
			rt.Fatal(why)
		}
	})
}

// What waits for its turn stays encoded, and a record that waits for long keeps little more than itself.
func TestStepsAreSmall(t *testing.T) {
	t.Parallel()
	const n, step = 5000, 20_000
	f := theirs{last: n - 1, producer: -1, count: n}
	for i := range n {
		f.body = appendRecord(f.body, &Record{Key: fmt.Append(nil, i), Value: make([]byte, 100)}, 0, int64(i))
	}
	b := f.encode()
	d := decoding{limits: DecodeLimits{Step: step}.orDefault(), b: b, copies: step / 2}
	p, last := d.portion(), int64(0)
	for p.Rest != nil {
		if len(p.Records) == 0 || p.Memory > 2*step || p.Next <= last {
			t.Fatalf("%d records that take %d bytes, up to %d", len(p.Records), p.Memory, p.Next)
		}
		for i := range p.Records {
			if liesIn(p.Records[i].Value, b) {
				t.Fatal("a record keeps all that was fetched")
			}
		}
		last, p = p.Next, p.Rest.Decode()
	}
	if p.Next != n {
		t.Errorf("ends at %d", p.Next)
	}
}

// liesIn says whether x lies in b.
func liesIn(x, b []byte) bool {
	at, start := uintptr(unsafe.Pointer(unsafe.SliceData(x))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= start && at < start+uintptr(len(b))
}

// A record beyond a limit comes out by position, with what can be told about it; those around it come out as they are.
func TestOversized(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("0123456789"), MaxRecordBytes/10+1)
	many := make([]Header, MaxRecordHeaders+1)
	cases := map[string]struct {
		r    Record
		want string // in Oversized.Why; "": read whole
		key  bool
	}{
		"value":           {Record{Key: []byte("k"), Value: long}, "at most 4194304", true},
		"key":             {Record{Key: long, Value: []byte("v")}, "at most 4194304", false},
		"null key":        {Record{Value: long}, "at most 4194304", false},
		"empty key":       {Record{Key: []byte{}, Value: long}, "at most 4194304", true},
		"header":          {Record{Key: []byte("k"), Headers: []Header{{Key: "h", Value: long}}}, "at most 4194304", true},
		"headers":         {Record{Key: []byte("k"), Value: []byte("v"), Headers: many}, "4097 headers; at most 4096", true},
		"just so":         {Record{Value: long[:MaxRecordBytes-20]}, "", true},
		"headers just so": {Record{Headers: many[1:]}, "", true},
	}
	for name, c := range cases {
		for codec := uint16(0); codec <= 4; codec++ {
			t.Run(fmt.Sprintf("%s, codec %d", name, codec), func(t *testing.T) {
				f := theirs{base: 7, last: 2, producer: -1, count: 3}
				for i, r := range []*Record{{Value: []byte("a")}, &c.r, {Value: []byte("b")}} {
					f.body = appendRecord(f.body, r, 0, int64(i))
				}
				if codec > 0 {
					f = f.compressed(t, codec)
				}
				var got []Record
				b := f.encode()
				for next := int64(7); next < 10; {
					records, to, err := DecodeBatches(b, next, nil)
					if err != nil || to == next {
						t.Fatalf("stays at %d: %v", next, err)
					}
					got, next = append(got, records...), to
				}
				if len(got) != 3 || string(got[0].Value) != "a" || string(got[2].Value) != "b" || got[1].Offset != 8 {
					t.Fatalf("got %d records", len(got))
				}
				o := got[1].Oversized
				if c.want == "" {
					if o != nil || len(got[1].Value) != len(c.r.Value) || len(got[1].Headers) != len(c.r.Headers) {
						t.Errorf("not read whole: %+v", o)
					}
					return
				}
				if o == nil || !strings.Contains(o.Why, c.want) || got[1].Value != nil || got[1].Headers != nil {
					t.Fatalf("%+v", o)
				}
				if c.key && (!bytes.Equal(got[1].Key, c.r.Key) || (got[1].Key == nil) != (c.r.Key == nil)) || !c.key &&
					got[1].Key != nil {
					t.Errorf("a key of %d bytes", len(got[1].Key))
				}
				if o.Value >= 0 && (int(o.Value) != len(c.r.Value) || o.SHA256 != sha256.Sum256(c.r.Value)) || o.Value < 0 &&
					c.r.Value != nil {
					t.Errorf("value of %d bytes, %x", o.Value, o.SHA256)
				}
				if int(o.Headers) != len(c.r.Headers) {
					t.Errorf("%d headers, want %d", o.Headers, len(c.r.Headers))
				}
			})
		}
	}
}
