package consumer

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/balanceq/balanceq/kafkawire"
)

// drawRuns draws runs that lie above next and do not touch.
func drawRuns(t *rapid.T, next int64, most int) []Run {
	var runs []Run
	span := rapid.SampledFrom([]int64{2, 200, 1 << 40}).Draw(t, "span")
	for range rapid.IntRange(0, most).Draw(t, "runs") {
		from := next + rapid.Int64Range(1, span).Draw(t, "gap")
		next = from + rapid.Int64Range(1, span).Draw(t, "length")
		runs = append(runs, Run{from, next})
	}
	return runs
}

// What was written is read again; what does not fit are the highest runs, and none that would have fitted.
func TestAheadRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		next := rapid.Int64Range(0, 1<<50).Draw(t, "next")
		runs := drawRuns(t, next, 40)
		limit := rapid.IntRange(0, 200).Draw(t, "limit")
		metadata, all := encodeAhead(next, slices.Values(runs), limit)
		if len(metadata) > limit {
			t.Fatalf("%d characters, over the limit of %d", len(metadata), limit)
		}
		got, err := decodeAhead(next, metadata)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > len(runs) || !slices.Equal(got, runs[:len(got)]) {
			t.Fatalf("read %v, wrote %v", got, runs)
		}
		if all != (len(got) == len(runs)) {
			t.Fatalf("all = %v with %d of %d runs", all, len(got), len(runs))
		}
		if !all {
			if more, _ := encodeAhead(next, slices.Values(runs[:len(got)+1]), math.MaxInt); len(more) <= limit {
				t.Fatalf("%d runs take %d characters and would fit into %d", len(got)+1, len(more), limit)
			}
		}
		if _, err := decodeAhead(next+1, metadata); err == nil && metadata != "" {
			t.Fatal("it was read for another offset")
		}
	})
}

// The form is what other versions read: it changes with its version only.
func TestAheadForm(t *testing.T) {
	t.Parallel()
	log := logID{topic: kafkawire.TopicID{7, 15: 9}, cluster: 0x01020304}
	of := append(append([]byte{0xac, 0x02}, log.topic[:]...), 1, 2, 3, 4)
	for name, test := range map[string]struct {
		epoch int32
		runs  []Run
		want  []byte
	}{
		"no run":      {3, nil, append([]byte{0xb2}, of...)},
		"no epoch":    {kafkawire.NoEpoch, []Run{{301, 302}}, append(append([]byte{0xb2}, of...), 1, 1)},
		"of an epoch": {200, []Run{{301, 302}}, append(append([]byte{0xb3}, of...), 0xc8, 0x01, 1, 1)},
	} {
		got, all := encodeNote(log, test.epoch, 300, slices.Values(test.runs), aheadLimit)
		if want := base64.RawURLEncoding.EncodeToString(test.want); got != want || !all {
			t.Errorf("%s: %q (all %v), want %q", name, got, all, want)
		}
		n, err := decodeNote(300, got)
		if err != nil || n.log != log || !slices.Equal(n.ahead, test.runs) || len(n.ahead) > 0 && n.epoch != test.epoch {
			t.Errorf("%s: read %+v, error %v", name, n, err)
		}
		if _, err := decodeNote(300, got[:len(got)-4]); err == nil {
			t.Errorf("%s: it is cut off and was read", name)
		}
	}
	got, all := encodeAhead(300, slices.Values([]Run{{301, 302}, {310, 510}}), aheadLimit)
	want := base64.RawURLEncoding.EncodeToString([]byte{0xb1, 0xac, 0x02, 1, 1, 8, 0xc8, 0x01})
	if got != want || !all {
		t.Errorf("%q (all %v), want %q", got, all, want)
	}
}

// The worst that the default window can bring fits, and the limit is one that brokers accept.
func TestAheadFitsTheDefaultWindow(t *testing.T) {
	t.Parallel()
	var runs []Run
	for i := range int64(512) {
		runs = append(runs, Run{2*i + 1, 2*i + 2})
	}
	if metadata, all := encodeAhead(0, slices.Values(runs), aheadLimit); !all || len(metadata) > aheadLimit/4*3 {
		t.Errorf("%d characters, all %v", len(metadata), all)
	}
	if aheadLimit > 4096 {
		t.Errorf("brokers refuse %d characters", aheadLimit)
	}
}

func TestDecodeAheadRefuses(t *testing.T) {
	t.Parallel()
	text := func(b ...byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	const of = 7
	huge := binary.AppendUvarint([]byte{noteVersion, of}, math.MaxInt64)
	for name, metadata := range map[string]string{
		"no base64":              "waiting for the CMS",
		"padding":                base64.URLEncoding.EncodeToString([]byte{noteVersion, of, 1, 1, 1, 1, 1, 1})[:11] + "=",
		"bits after the end":     text(noteVersion, of, 1, 1)[:5] + "B",
		"not UTF-8":              "\xff\xfe",
		"nothing in it":          text(),
		"an older version":       text(noteVersion-1, of, 1, 1),
		"a newer version":        text(noteVersion+1, of, 1, 1),
		"a stream program's":     text(2, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0),
		"no offset":              text(noteVersion),
		"another offset's":       text(noteVersion, of+1, 1, 1),
		"a run at the offset":    text(noteVersion, of, 0, 1),
		"an empty run":           text(noteVersion, of, 1, 0),
		"runs that touch":        text(noteVersion, of, 1, 1, 0, 1),
		"half a run":             text(noteVersion, of, 1, 1, 1),
		"half a number":          text(noteVersion, of, 1, 0x80),
		"a number of 65 bits":    text(noteVersion, of, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02),
		"a negative number":      text(noteVersion, of, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
		"an offset past the end": text(append(huge, 1)...),
		"a length past the end":  text(append([]byte{noteVersion, of, 1}, huge[2:]...)...),
		"too long":               text(append([]byte{noteVersion, of}, slices.Repeat([]byte{1}, aheadLimit)...)...),
	} {
		if runs, err := decodeAhead(of, metadata); metadata != "" && err == nil || len(runs) > 0 {
			t.Errorf("%s: %v, error %v", name, runs, err)
		} else if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: an error of two lines: %v", name, err)
		}
	}
	if runs, err := decodeAhead(of, text(noteVersion, of, 1, 1)); err != nil || !slices.Equal(runs, []Run{{8, 9}}) {
		t.Errorf("the table's good form: %v, error %v", runs, err)
	}
}

func FuzzDecodeAhead(f *testing.F) {
	f.Add(int64(0), "")
	f.Add(int64(7), base64.RawURLEncoding.EncodeToString([]byte{noteVersion, 7, 1, 1, 0x80, 1, 3}))
	f.Add(int64(-1), base64.RawURLEncoding.EncodeToString([]byte{noteVersion, 7, 0, 1}))
	f.Fuzz(func(t *testing.T, next int64, metadata string) {
		// As it is, and as a form of this program's: fuzzing finds the head of it but seldom.
		head := binary.AppendUvarint([]byte{noteVersion}, uint64(next))
		for _, metadata := range []string{metadata, base64.RawURLEncoding.EncodeToString(append(head, metadata...))} {
			runs, err := decodeAhead(next, metadata)
			if err != nil {
				if runs != nil {
					t.Fatalf("runs %v with error %v", runs, err)
				}
				continue
			}
			end := next
			for _, r := range runs {
				if r.From <= end || r.To <= r.From {
					t.Fatalf("run %v behind %d", r, end)
				}
				end = r.To
			}
			again, all := encodeAhead(next, slices.Values(runs), aheadLimit)
			if back, err := decodeAhead(next, again); err != nil || !all || !slices.Equal(back, runs) {
				t.Fatalf("%v became %v (all %v, error %v)", runs, back, all, err)
			}
		}
	})
}

// A commit's note says how new what was read is, the runs of a former owner included; it cannot while it names some of
// which that is not known.
func TestEpochOfTheNote(t *testing.T) {
	t.Parallel()
	log := logID{topic: kafkawire.TopicID{1}, cluster: 2}
	former := []Run{{8, 12}}
	for name, test := range map[string]struct {
		from position
		want int32
	}{
		"nothing of a former owner's": {position{log: log, start: 4, epoch: kafkawire.NoEpoch}, 5},
		"an older epoch":              {position{log: log, start: 4, epoch: 3, ahead: former}, 5},
		"a newer one":                 {position{log: log, start: 4, epoch: 6, ahead: former}, 6},
		"one that is not known": {position{log: log, start: 4, epoch: kafkawire.NoEpoch, ahead: former},
			kafkawire.NoEpoch},
	} {
		p := newPartition(&Consumer{}, 0, &fakeLease{}, test.from)
		p.epochs = p.epochs.add([]kafkawire.EpochStart{{From: 4, Epoch: 5}})
		o, all := p.note(4, slices.Values([]Run{{6, 12}}), aheadLimit)
		n, err := decodeNote(4, o.Metadata)
		if err != nil || !all || n.epoch != test.want {
			t.Errorf("%s: epoch %d, want %d; error %v", name, n.epoch, test.want, err)
		}
	}
}
