package kafkawire

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
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
	const n = 5000
	f := theirs{last: n - 1, producer: -1, count: n}
	for i := range n {
		f.body = appendRecord(f.body, &Record{
			Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte{byte(i)}, i%300),
			Headers: []Header{{Key: "h", Value: []byte("v")}},
		}, 0, int64(i))
	}
	for codec := uint16(0); codec <= 4; codec++ {
		f := f
		if codec > 0 {
			f = f.compressed(t, codec)
		}
		for _, portion := range []int{1, 5000, 100_000, 1 << 30} {
			t.Run(fmt.Sprintf("codec %d, %d bytes", codec, portion), func(t *testing.T) {
				want := 0
				parts := portions(t, f.encode(), FetchLimits{Portion: portion, Memory: 1 << 30}, func(records []Record) {
					for i := range records {
						if string(records[i].Key) != fmt.Sprint(want) || len(records[i].Value) != want%300 ||
							len(records[i].Headers) != 1 {
							t.Fatalf("record %d: %s", want, describe(&records[i]))
						}
						want++
					}
				})
				if want != n || portion == 1 && parts != n || portion == 1<<30 && parts != 1 || portion == 100_000 && parts < 5 {
					t.Errorf("%d records in %d portions", want, parts)
				}
			})
		}
	}
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
