package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/kafkawire"
)

// bomb is a batch of one record, head and then n times unit and then tail, compressed with a codec.
func bomb(t *testing.T, codec uint16, head, unit []byte, n int, tail []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := compress.Compression(codec).Codec().NewWriter(&out)
	body := append(binary.AppendVarint(nil, int64(len(head)+n*len(unit)+len(tail))), head...)
	_, err := w.Write(body)
	piece := bytes.Repeat(unit, 64<<10)
	for left := n * len(unit); left > 0 && err == nil; left -= min(left, len(piece)) {
		_, err = w.Write(piece[:min(left, len(piece))])
	}
	if err == nil {
		_, err = w.Write(tail)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	const length, crc, attributes, records = 8, 17, 21, 61
	b := kafkawire.AppendBatch(nil, kafkawire.ProducerID{ID: -1, Epoch: -1}, -1, make([]kafkawire.Record, 1), time.Now())
	b = append(b[:records], out.Bytes()...)
	b[attributes+1] |= byte(codec)
	binary.BigEndian.PutUint32(b[length:], uint32(len(b)-length-4))
	binary.BigEndian.PutUint32(b[crc:], crc32.Checksum(b[attributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// write puts an encoded batch into the request topic.
func (r *rig) write(b []byte) {
	r.t.Helper()
	wire := kafkawire.NewClient(kafkawire.Settings{Brokers: r.broker.Brokers()}, r.requests)
	defer wire.Close()
	leaders, _, err := wire.Leaders(r.t.Context(), r.requests)
	if err != nil {
		r.t.Fatal(err)
	}
	batch := &kafkawire.Batch{Topic: r.requests, Bytes: b}
	if err := errors.Join(wire.Produce(r.t.Context(), leaders[0], []*kafkawire.Batch{batch}), batch.Err); err != nil {
		r.t.Fatal(err)
	}
}

// peakMemory is the most that the program has had resident, in bytes; 0 where the system does not tell.
func (in *instance) peakMemory() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// What a publisher can get into the topic comes out, as a dead letter where it is too large, and what is behind it is
// answered; the program stays small.
func TestBombs(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			r := newRig(t, 1, cmssim.Config{})
			value := func(n int) []byte { return binary.AppendVarint([]byte{0, 0, 0, 2, 'k'}, int64(n)) }
			const mib, headers = 1 << 20, 8 << 20
			r.Send(ask(80_000, "AVAILABLE"))
			r.write(bomb(t, 1, value(300*mib), []byte{' '}, 300*mib, []byte{0}))
			r.write(bomb(t, 3, value(150*mib), []byte{' '}, 150*mib, []byte{0}))
			r.write(bomb(t, 4, value(127*mib), []byte{' '}, 127*mib, []byte{0}))
			r.write(bomb(t, 4, binary.AppendVarint([]byte{0, 0, 0, 2, 'k', 1}, headers), []byte{0, 0}, headers, nil))
			r.Send(ask(80_001, "AVAILABLE"))
			in := r.StartReady("--delivery=" + delivery)
			r.AwaitWritten(r.results, 2)
			r.AwaitWritten(r.deadletters, 4)
			in.eventually("all of it is committed", func() bool { return r.broker.Committed(t, r.group, r.requests)[0] == 6 })
			for _, m := range r.broker.ReadAll(t, r.deadletters) {
				if len(m.Value) != 0 || string(m.Key) != "k" {
					t.Errorf("a dead letter with a key of %d bytes and a value of %d", len(m.Key), len(m.Value))
				}
			}
			peak := in.peakMemory()
			if t.Logf("at most %d MiB were resident", peak>>20); peak > 256*mib {
				t.Errorf("%d MiB were resident", peak>>20)
			}
		})
	}
}
