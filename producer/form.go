package producer

import (
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/kafkawire"
	"github.com/balanceq/balanceq/schemas"
)

// source is what a message was made of, so that it can be made again in another form: a dead letter, or a result.
type source struct {
	req    *inflight.Request
	letter *schemas.DeadLetter
	result bool // what is to be known of it again is read from the message: the result takes as much memory as that
	reply  bool // the copy of a result: it does without what it cannot have
}

// form is how a message is written that its topic does not take as it is. The zero value is as it is.
type form struct {
	refused    int   // bytes of the smallest batch of it that was too large; 0: none was
	tried      uint8 // so many of losses
	compressed bool
	plain      bool // the topic takes no compressed records
	keyed      bool // a result whose key is its request's position
	without    schemas.Without
	time       timing
}

// timing is which time a message is written with.
type timing uint8

const (
	ownTime  timing = iota
	timeNow         // when it is encoded
	timeless        // none: brokers take that whatever their clocks say
)

// losses are what a dead letter may be without, from the least on. The first is nothing.
var losses = []schemas.Parts{
	{}, {Value: true}, {Headers: true}, {Key: true}, {Value: true, Headers: true}, {Value: true, Key: true},
	{Headers: true, Key: true}, {Value: true, Headers: true, Key: true},
}

// maxClockAge is how old the time of a refused batch may be for the present time to be worth a try.
const maxClockAge = 5 * time.Second

// reform returns a refused message in its next form, and the topic of it, which is another one where a result becomes a
// dead letter; "" says that nothing needs to be written at all. encoded and at tell of the batch that was refused: its
// bytes and when it was encoded. It returns false when there is no other form.
//
// Nothing of it may be in the log: an answer that calls for another form says so of the try that it answers. An earlier
// try whose answer was lost is recognised by its sequence number, as long as that is sent again.
func (o *Outcomes) reform(e *entry, topic string, encoded int, at time.Time, err error) (entry, string, bool) {
	switch {
	case isTimestamp(err):
		next := *e
		next.form.time, next.message.Time = nextTime(e.form.time, at)
		return next, topic, e.form.time != timeless
	case errors.Is(err, kafka.InvalidRecord):
		return o.keyed(e, topic)
	case errors.Is(err, kafka.UnsupportedCompressionType) && e.form.compressed:
		next := *e
		next.form.plain, next.form.compressed = true, false
		return o.smaller(&next, topic)
	case kafkawire.TooLarge(err):
		next := *e
		next.form.refused = encoded
		return o.smaller(&next, topic)
	}
	return *e, topic, false
}

func nextTime(t timing, at time.Time) (timing, time.Time) {
	if t == ownTime || time.Since(at) > maxClockAge {
		return timeNow, time.Time{}
	}
	return timeless, time.UnixMilli(-1) // NO_TIMESTAMP of Kafka's RecordBatch
}

// keyed gives a message without a key one: a compacted topic takes none without.
func (o *Outcomes) keyed(e *entry, topic string) (entry, string, bool) {
	next := *e
	switch {
	case e.message.Key != nil || e.req == nil:
		return next, topic, false
	case e.letter != nil:
		next.form.without.Keyed = true
		next.remake(o.Origin)
	default:
		m := e.message
		m.Key = []byte(e.req.Record.String())
		next.form.keyed = true
		next.set(m)
	}
	return next, topic, true
}

// smaller tries what loses least: compressed, it loses nothing. A form that would not be smaller than what was refused
// is left out, so what comes out of this, refusal by refusal, is the first form that fits.
func (o *Outcomes) smaller(e *entry, topic string) (entry, string, bool) {
	next := *e
	last := 0
	if e.letter != nil {
		last = len(losses) - 1
	}
	for f := &next.form; ; {
		switch {
		case !f.compressed && !f.plain:
			f.compressed = true
		case int(f.tried) < last:
			f.tried++
			f.without.Parts = losses[f.tried]
			next.remake(o.Origin)
		case e.result:
			return o.insteadOf(e)
		default:
			return *e, topic, false
		}
		if next.encodedSize() < f.refused || f.refused == 0 {
			return next, topic, true
		}
	}
}

// insteadOf returns the dead letter of a request whose result fits nowhere. Where a failure is published twice, the
// dead letter is written anyhow, and where it is a copy, the result.
func (o *Outcomes) insteadOf(e *entry) (entry, string, bool) {
	r := e.made()
	if o.DeadLetters == "" {
		return *e, "", false
	}
	if e.reply || r.Outcome == schemas.OutcomeFailed {
		return *e, "", true
	}
	req := e.req
	letter := &schemas.DeadLetter{
		Record: &req.Record, Reason: schemas.ReasonResultTooLarge, RequestID: req.Request.ID,
		Detail: fmt.Sprintf(
			"the result, of %d bytes, is larger than %s takes (it repeats the key of the request, of %d bytes): "+
				"raise max.message.bytes of that topic, then replay", e.size, o.Results, len(req.Record.Key)),
		Attempts: max(1, req.Attempts), FirstFailure: req.FirstFailure, LastFailure: req.LastFailure,
		CorrelationID: r.CorrelationID, CMSCorrelationID: r.CMSCorrelationID, DecidedAt: time.Now(),
	}
	if req.Span != nil {
		req.Span.Unsent(o.Results, string(letter.Reason))
		letter.Trace = req.Span.Send(o.DeadLetters)
	}
	next := newEntry(letter.Message(o.Origin), e.ack)
	next.source = source{req: req, letter: letter}
	next.at = e.at
	return next, o.DeadLetters, true
}

// asIs returns a message in the form that it had at first: what it is tried with when people may have raised a limit.
func (e *entry) asIs(origin schemas.Origin) entry {
	next := *e
	next.form = form{}
	switch {
	case e.letter != nil:
		next.remake(origin)
	case e.result:
		m := e.message
		if e.form.keyed {
			m.Key = nil
		}
		if e.form.time != ownTime {
			m.Time = e.made().RetrievedAt
		}
		next.set(m)
	}
	return next
}

// made is the result that the message says.
func (e *entry) made() schemas.Result {
	r, _ := schemas.DecodeResult(e.message.Value) // what this program writes it can read
	return r
}

// remake makes a dead letter's message as the form says.
func (e *entry) remake(origin schemas.Origin) {
	m := e.letter.MessageWithout(origin, e.form.without)
	if e.form.time != ownTime {
		m.Time = e.message.Time
	}
	e.set(m)
}

// encodedSize is what a batch with the message alone takes.
func (e *entry) encodedSize() int {
	records := []kafkawire.Record{recordOf(&e.message)}
	batch := kafkawire.AppendBatch(nil, kafkawire.ProducerID{}, 0, records, time.Now())
	if e.form.compressed {
		batch = kafkawire.CompressBatch(nil, batch)
	}
	return len(batch)
}

func isTimestamp(err error) bool { return errors.Is(err, kafka.InvalidTimestamp) }

// corrupt says that the bytes arrived with a wrong checksum.
func corrupt(err error) bool { return errors.Is(err, kafka.InvalidMessage) }
