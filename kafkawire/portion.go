package kafkawire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Portion is what is decoded at once of what a fetch returned for one partition.
type Portion struct {
	Records []Record
	Memory  int          // bytes that Records take
	Next    int64        // the offset to go on at
	Epochs  []EpochStart // of what was read up to Next, none from before the portion; consecutive ones differ
	Rest    *Rest        // what was fetched from Next on and is still encoded; nil: that is to be fetched
	// Err, a *CorruptError, is about the batch at Next. Of that, what earlier steps have handed out is good.
	Err error
}

// Rest is what is still encoded of what a fetch returned for one partition. Requests that wait for their turn as bytes
// take a third of what they take as records.
type Rest struct{ decoding }

// Decode returns the next portion. It is called once: what follows is the Rest of what it returns.
func (r *Rest) Decode() Portion {
	defer func() { r.inside.close() }() // of a batch that is fetched again
	return r.portion()
}

// decoding is where the reader of what a fetch returned for one partition stands.
type decoding struct {
	limits     DecodeLimits
	b          []byte // the batches that are not decoded yet, or not to their ends
	copies     int    // what is copied at once for records of batches that are not compressed; 0: they alias b
	from, next int64
	aborts     aborts
	resume     *batchReader // where the portion before stopped in the first batch, if that is known
	intact     bool         // that batch's checksum has been looked at

	// of this portion
	inside  *batchReader // where it stopped, if that is inside a batch
	records []Record
	epochs  []EpochStart
	used    int // bytes of memory
}

// portion decodes as much as the limits allow.
func (d *decoding) portion() Portion {
	err := d.decode()
	d.resume.close()
	p := Portion{Records: d.records, Memory: d.used, Next: d.next, Epochs: d.epochs, Err: err}
	if d.limits.Step > 0 && err == nil && len(d.b) > 0 && (d.inside == nil || d.inside.plain) {
		p.Rest = &Rest{decoding{limits: d.limits, b: d.b, copies: d.copies, from: d.from, next: d.next, aborts: d.aborts,
			resume: d.inside, intact: d.inside != nil}}
		d.inside = nil
	}
	return p
}

// full says that nothing more is to be handed out. One record always is, or there would be no progress.
func (d *decoding) full() bool { return d.used >= d.limits.Portion && len(d.records) > 0 }

// enough says that what comes next should stay encoded.
func (d *decoding) enough() bool {
	return d.full() || d.limits.Step > 0 && d.used >= d.limits.Step && len(d.records) > 0
}

func (d *decoding) decode() error {
	d.records = make([]Record, 0, min(countRecords(d.b), d.expected()))
	begin := d.next
	for !d.enough() {
		batch, err := d.cut()
		if batch == nil && err == nil {
			d.b = nil
			return nil
		}
		var h head
		good := len(d.records)
		if err == nil {
			if h = readHead(batch); h.last < d.from && h.last >= h.base {
				d.b = d.b[len(batch):]
				continue
			}
			err = d.batch(h, batch)
		}
		if err != nil {
			d.records = d.records[:good]
			return corrupt(d.b, err)
		}
		if n := len(d.epochs); n == 0 || d.epochs[n-1].Epoch != h.epoch {
			d.epochs = append(d.epochs, EpochStart{From: max(h.base, begin), Epoch: h.epoch})
		}
		if d.inside != nil {
			d.next = d.records[len(d.records)-1].Offset + 1
			return nil
		}
		d.b = d.b[len(batch):]
		d.next = h.last + 1
	}
	return nil
}

// expected is how many records a portion has at most, as a rule: in a step, they take as much as their bytes.
func (d *decoding) expected() int {
	if d.limits.Step > 0 {
		return d.limits.Step/(2*recordMemory) + 1
	}
	return d.limits.Portion/recordMemory + 1
}

// cut returns the first batch.
func (d *decoding) cut() ([]byte, error) {
	if d.intact {
		d.intact = false
		return d.b[:d.resume.size:d.resume.size], nil
	}
	return cutBatch(d.b)
}

// batch takes the records of one batch that count, as far as there is room for them.
func (d *decoding) batch(h head, b []byte) error {
	body := b[batchHead:]
	r := d.resume
	d.resume = nil
	resumed := r.continues(b, d.next)
	if !resumed {
		r.close()
	}
	if h.base < 0 || h.last < h.base || h.last == math.MaxInt64 || h.count < 0 ||
		h.base < d.next && d.next > d.from && !resumed {
		return fmt.Errorf("%d records up to offset %d after offset %d", h.count, h.last, d.next)
	}
	if h.attributes&attrTransactional != 0 {
		d.aborts.enter(h.last)
	}
	switch {
	case h.attributes&attrControl != 0:
		d.aborts.marker(h, body)
		return nil
	case h.attributes&attrTransactional != 0 && d.aborts.open[h.producerID]:
		return nil
	}
	if !resumed {
		var err error
		if r, err = newBatchReader(h, b, d.copies); err != nil {
			return err
		}
	}
	done, err := d.take(r)
	if err != nil || done {
		r.close()
		return err
	}
	d.inside = r
	return nil
}

// take reads records until the batch ends or there are enough. A compressed batch ends or fills the portion: its window
// would be kept in between, which takes more than its records.
func (d *decoding) take(r *batchReader) (done bool, err error) {
	d.used += r.reopened()
	for r.more() {
		if d.full() || r.plain && d.enough() {
			return false, nil
		}
		n := len(d.records)
		d.records = append(d.records, Record{})
		if err := r.next(&d.records[n], d.from, &d.limits); err != nil {
			return false, err
		}
		d.used += r.spent()
		d.records[n].LeaderEpoch = r.head.epoch
		if d.records[n].Offset < d.from {
			d.records = d.records[:n]
		}
	}
	return true, r.end()
}

// minRecord is the smallest record: seven lengths, deltas and counts of a byte each.
const minRecord = 7

// countRecords sizes the result. A lying count costs no more than as many records as there is room for; those of a
// batch that shrank by more than that through compression make the result grow.
func countRecords(b []byte) int {
	n, room := 0, len(b)/minRecord
	for len(b) >= batchHead && n < room {
		size := 12 + int(binary.BigEndian.Uint32(b[atLength:]))
		if size > len(b) || size < batchHead {
			break
		}
		n += int(binary.BigEndian.Uint32(b[atCount:]))
		b = b[size:]
	}
	return min(n, room)
}
